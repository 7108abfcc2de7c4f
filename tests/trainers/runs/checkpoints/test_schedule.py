import pytest

from pico_maml.trainers import InputError
from pico_maml.trainers.runs.checkpoints.schedule import BABYLM_WORDS, SaveSchedule, TextRead

NOTHING = TextRead(0, 0)


def kept(entries, tokens_per_step=100, words_per_step=60, steps=40) -> list[int]:
    """The steps of a run that a schedule keeps."""
    schedule = SaveSchedule(entries)
    read = [TextRead(tokens_per_step * step, words_per_step * step) for step in range(steps + 1)]
    return [step for step in range(steps + 1) if schedule.reasons(step, read[max(step - 1, 0)], read[step])]


def test_steps_powers_and_budgets_are_kept_at_the_step_that_reaches_them():
    assert kept(["0", "7"]) == [0, 7]
    assert kept(["powers"]) == [1, 2, 4, 8, 16, 32]
    assert kept(["0.5Ktokens", "1050tokens"]) == [5, 11]
    assert kept(["1Kwords"]) == [17]
    assert kept(["babylm"], words_per_step=500_000) == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 40]
    assert kept([]) == []


def test_babylm_has_ten_budgets_to_each_power_of_ten():
    assert len(BABYLM_WORDS) == 28
    assert BABYLM_WORDS[:2] + BABYLM_WORDS[8:11] == [1e6, 2e6, 9e6, 1e7, 2e7]
    assert BABYLM_WORDS[-2:] == [9e8, 1e9]


def test_reasons_name_every_rule_that_keeps_a_step():
    schedule = SaveSchedule(["8", "powers", "1Ktokens", "500words"])
    assert schedule.reasons(8, TextRead(900, 400), TextRead(1000, 500)) == [
        *("step 8", "a power of two", "1,000 tokens", "500 words"),
    ]


@pytest.mark.parametrize("entry", ["-1", "1.5", "1Mtoken", "0tokens", "Mwords", "power", ""])
def test_an_entry_that_is_nothing_of_these_is_named(entry):
    with pytest.raises(InputError, match=f"save_schedule: '{entry}' is no step"):
        SaveSchedule(["0", entry])
