from pico_maml.recipes.benchmark import commands


def test_commands_are_timed_in_turn_beside_importing_llama(monkeypatch):
    begun = []

    def faked(arguments):
        begun.append(arguments)
        return 2.0 * len(arguments), 1.0 * len(arguments)

    monkeypatch.setattr(commands, "_time", faked)
    measured = commands.measure_commands(3)
    assert begun == 4 * list(commands.COMMANDS.values())
    assert {ratio["what"]: ratio["cpu"] for ratio in measured["ratios"]} == {
        "import pico_maml": 1.0,
        "pretrain --help": 1.5,
        "an unknown argument": 2.0,
    }


def test_the_seconds_are_those_of_the_process():
    wall, cpu = commands._time(["-c", "sum(range(10**7))"])
    assert 0 < cpu <= wall + 1
    assert wall > 0
