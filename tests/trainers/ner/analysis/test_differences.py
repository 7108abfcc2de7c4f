import numpy as np
import pytest

from pico_maml.trainers.ner.analysis.differences import difference_statements, differences

SENTENCES = 20


def result(pretraining: str, f1: float, run: int = 0, seed: int = 1, train_on: str = "da_ddt") -> dict:
    """A result with as many predicted as gold entities, scored on one test set."""
    model = {"size": "tiny", "pretraining": pretraining, "pretraining_seed": run}
    counts = {"da_ddt": [[round(f1 * 100), 100, 100]] * SENTENCES}
    return {**model, "mode": "head", "train_on": train_on, "seed": seed, "counts": counts}


def arms(gains: list[float], **cell: str) -> list[dict]:
    """A run of each arm for every gain of maml over vanilla."""
    pairs = [(("vanilla", 0.2), ("maml", 0.2 + gain)) for gain in gains]
    return [result(name, f1, run, **cell) for run, pair in enumerate(pairs) for name, f1 in pair]


def test_runs_pair_by_pretraining_seed_and_fine_tunings_by_theirs():
    unpaired = [result("vanilla", 0.9, run=7), result("maml", 0.9, run=0, seed=2)]
    row = differences([*arms([0.1, 0.2]), *unpaired], "vanilla", "maml").iloc[0]
    assert (row["runs"], row["seeds"], row["difference"]) == (2, 2, pytest.approx(0.15))
    assert differences([result("vanilla", 0.1, run=1), result("maml", 0.2, run=2)], "vanilla", "maml").empty


def test_p_values_are_corrected_over_the_table():
    both = [*arms([0.10, 0.12, 0.11]), *arms([0.10, 0.12, 0.11], train_on="hr_set")]
    alone = differences(arms([0.10, 0.12, 0.11]), "vanilla", "maml").iloc[0]
    table = differences(both, "vanilla", "maml")
    assert alone["p_holm"] == alone["p"] < 0.01
    assert table["p_holm"].tolist() == pytest.approx([2 * alone["p"]] * 2)


@pytest.mark.parametrize(
    ("gains", "conclusion"),
    [
        ([0.10, 0.12, 0.11], "maml is higher"),
        ([-0.10, -0.12, -0.11], "vanilla is higher"),
        ([0.10, -0.12, 0.01], "no difference shown"),
        ([0.30], "not enough runs to say"),
    ],
)
def test_conclusions(gains, conclusion):
    row = differences(arms(gains), "vanilla", "maml").iloc[0]
    assert row["conclusion"] == conclusion
    assert np.isnan(row["p"]) == (len(gains) == 1) != np.isnan(row["sentences_low"])


def test_statement_of_a_winner_names_test_runs_and_interval():
    table = differences([*arms([0.10, 0.12, 0.11]), *arms([0.01, -0.01], train_on="hr_set")], "vanilla", "maml")
    summary, winner = difference_statements(table, "vanilla", "maml")
    assert "2 to 3 pretraining runs an arm, t test" in summary
    assert "Holm's correction over 2 comparisons" in summary
    assert "maml is higher in 1, vanilla in 0; no difference shown in 1" in summary
    assert winner.startswith("tiny, head, da_ddt on da_ddt: maml is higher, +0.110 [+0.085, +0.135], p = 0.0")
    assert winner.endswith("after correction, 3 runs an arm.")


def test_one_run_an_arm_names_no_winner():
    table = differences(arms([0.30]), "vanilla", "maml")
    (statement,) = difference_statements(table, "vanilla", "maml")
    assert "two checkpoints, never two methods: not enough runs to say" in statement
    assert "higher" not in statement
    assert difference_statements(table.iloc[:0], "vanilla", "maml") == []
