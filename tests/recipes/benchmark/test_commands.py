from pico_maml.recipes.benchmark import commands


def test_commands_are_timed_in_processes_of_their_own(monkeypatch):
    loop = "sum(range(10**7))"
    monkeypatch.setattr(commands, "COMMANDS", {commands.LLAMA: ["-c", loop], "longer": ["-c", f"{loop}; {loop}"]})
    measured = commands.measure_commands(3)
    assert len(measured["rounds"]["longer"]) == 3
    (longer,) = measured["ratios"]
    assert (longer["what"], longer["of"]) == ("longer", commands.LLAMA)
    assert longer["cpu"] > 1
