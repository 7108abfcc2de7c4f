import numpy as np
import pandas as pd
import pytest

from pico_maml.trainers.ner.analysis import tables


def result(
    pretraining: str, mode: str, train_on: str, seed: int = 1, run: int = 0, size: str = "tiny", **f1: float
) -> dict:
    """A run's result with the F1 of each test set; PER half of it, ORG nothing in gold."""
    scores = {
        test: {
            **dict.fromkeys(("f1", "strict_f1", "precision", "recall"), value),
            "support": 10,
            "classes": {"PER": {"f1": value / 2}, "LOC": {"f1": value}},
        }
        for test, value in f1.items()
    }
    counts = {test: [[round(value * 10), 10, 10]] * 20 for test, value in f1.items()}
    model = {"size": size, "pretraining": pretraining, "pretraining_seed": run}
    fine_tuning = {"mode": mode, "train_on": train_on, "seed": seed}
    return {**model, **fine_tuning, "scores": {"validation": {}, **scores}, "counts": counts}


@pytest.fixture
def results():
    return [
        result("vanilla", "head", "da_ddt", da_ddt=0.2, hr_set=0.1, en_pud=0.3, ceb_gja=0.0, tl_trg=0.4),
        result("maml", "head", "da_ddt", da_ddt=0.3, hr_set=0.1, en_pud=0.3, ceb_gja=0.5, tl_trg=0.2),
        result("vanilla", "head", "hr_set", da_ddt=0.1, hr_set=0.4, en_pud=0.1, ceb_gja=0.0, tl_trg=0.2),
        result("maml", "head", "hr_set", da_ddt=0.1, hr_set=0.5, en_pud=0.3, ceb_gja=0.0, tl_trg=0.2),
        # Only one of the two: no table may average over it.
        result("maml", "head", "zh_gsd", da_ddt=0.9, hr_set=0.9, en_pud=0.9, ceb_gja=0.9, tl_trg=0.9),
    ]


def test_small_baseline_has_no_relative_improvement():
    assert tables.relative(0.2, 0.3) == pytest.approx(50)
    assert tables.relative(0.4, 0.0) == -100
    assert np.isnan(tables.relative(0.0, 0.5))
    assert np.isnan(tables.relative(0.0099, 0.5))


def test_in_language_f1_and_its_improvement(results):
    scores = tables.scores_of(results)
    table = tables.in_language(scores, "head")
    assert list(table.columns) == ["da_ddt", "hr_set"]
    assert table.loc["tiny", "maml"].tolist() == [0.3, 0.5]
    improvement = tables.in_language_improvement(scores, "head", "vanilla", "maml")
    assert improvement.loc["tiny"].tolist() == pytest.approx([50, 25])
    assert tables.in_language_improvement(scores, "full", "vanilla", "maml").empty


def test_groups_average_over_cells_that_both_pretrainings_have(results):
    table = tables.group_improvement(tables.scores_of(results), "vanilla", "maml")
    seen, pud, other = (table.loc["tiny", (group, "head")] for group in ("seen", "pud", "other"))
    assert seen == pytest.approx(100 * (0.25 - 0.2) / 0.2)
    assert pud == pytest.approx(100 * (0.3 - 0.2) / 0.2)
    assert other == pytest.approx(100 * (0.225 - 0.15) / 0.15)


def test_transfer_averages_over_the_chosen_training_treebanks(results):
    scores = tables.scores_of(results)
    table = tables.transfer_improvement(scores, "vanilla", "maml")
    assert np.isnan(table.loc[("tiny", "head"), "ceb_gja"])
    assert table.loc[("tiny", "head"), "tl_trg"] == pytest.approx(100 * (0.2 - 0.3) / 0.3)
    one = tables.transfer_improvement(scores, "vanilla", "maml", ["hr_set"])
    assert one.loc[("tiny", "head"), "tl_trg"] == 0


def test_class_without_entities_has_no_f1(results):
    small = [result(pretraining, "head", "da_ddt", size="small", da_ddt=0.2) for pretraining in ("vanilla", "maml")]
    table = tables.class_difference(tables.scores_of([*results, *small]), "vanilla", "maml")
    assert list(table.xs("head", level="mode").index) == ["tiny", "small"]
    row = table.loc["head", "tiny"]
    assert row["LOC"] == pytest.approx(0.1)
    assert row["PER"] == pytest.approx(0.05)
    assert np.isnan(row["ORG"])


def test_other_classes_than_those_of_universal_ner_have_rows_of_their_own(results):
    for each in results:
        for scores in each["scores"].values():
            if "f1" in scores:
                scores["classes"] = {"test": {"f1": scores["f1"]}, "Tool": {"f1": 0.1}}
    table = tables.class_difference(tables.scores_of(results), "vanilla", "maml")
    assert list(table.columns) == ["Tool", "test"]
    assert table.loc[("head", "tiny")].tolist() == pytest.approx([0, 0.1])


def test_fine_tuning_seeds_are_averaged_within_a_run_before_runs_are(results):
    more = [
        *results,
        result("vanilla", "head", "da_ddt", seed=2, da_ddt=0.4, hr_set=0.1, en_pud=0.3),
        result("vanilla", "head", "da_ddt", run=1, da_ddt=0.6),
    ]
    scores = tables.scores_of(more)
    summary = tables.seeds(scores).loc["tiny", "vanilla", "head", "da_ddt", "da_ddt"]
    assert summary["mean"] == pytest.approx((0.3 + 0.6) / 2)
    assert summary["std"] == pytest.approx(0.3 / 2**0.5)
    assert summary["std_of_fine_tuning"] == pytest.approx(0.2 / 2**0.5)
    assert (summary["runs"], summary["fine_tunings"]) == (2, 3)
    assert tables.in_language(scores, "head").loc[("tiny", "vanilla"), "da_ddt"] == pytest.approx(0.45)
    assert tables.cross_f1(scores)["tiny", "vanilla", "head"].loc["da_ddt", "da_ddt"] == pytest.approx(0.45)
    # The second run of vanilla has no partner, so it counts in no improvement.
    improvement = tables.in_language_improvement(scores, "head", "vanilla", "maml")
    assert improvement.loc["tiny", "da_ddt"] == pytest.approx(0, abs=1e-9)


def test_cross_f1_has_a_table_for_each_model_and_mode(results):
    scores = tables.scores_of(results)
    assert list(tables.cross_f1(scores)) == [("tiny", "vanilla", "head"), ("tiny", "maml", "head")]
    table = tables.cross_f1(scores)["tiny", "maml", "head"]
    assert list(table.index) == ["da_ddt", "hr_set", "zh_gsd"]
    assert list(table.columns) == ["da_ddt", "hr_set", "en_pud", "ceb_gja", "tl_trg"]
    assert table.loc["da_ddt", "ceb_gja"] == 0.5


def test_published_tables_agree_with_each_other():
    """The paper's Table 8 follows from its Table 7; Tables 4 and 5 are parts of 8 and 9."""
    seven, eight = tables.published(7), tables.published(8)
    for treebank in eight.columns:
        vanilla, maml = seven.loc[("large", "vanilla"), treebank], seven.loc[("large", "maml"), treebank]
        assert tables.relative(vanilla, maml) == pytest.approx(eight.loc["large", treebank], abs=0.06)
    for part, whole in ((4, 8), (5, 9)):
        table = tables.published(part)
        pd.testing.assert_frame_equal(table, tables.published(whole).loc[table.index, table.columns])
    assert tables.published(3).loc["large", ("pud", "full")] == 3.5
    assert np.isnan(tables.published(6).loc[("tiny", "head"), "tl_trg"])
    assert [len(tables.published(number)) for number in range(3, 10)] == [4, 1, 4, 8, 8, 1, 4]


def test_published_numbers_stand_in_the_paper(shared):
    """Every number of tables 3 to 9 stands in the paper's text."""
    text = (shared / "paper.md").read_text()
    for number in range(3, 10):
        for value in tables.published(number).to_numpy().ravel():
            digits = 3 if number == 7 else 1
            if not np.isnan(value):
                assert f"{value:.{digits}f}" in text, (number, value)


def test_our_numbers_stand_beside_the_papers(results):
    ours = tables.in_language_improvement(tables.scores_of(results), "head", "vanilla", "maml")
    ours.loc["tiny", "hr_set"] = np.nan
    table = tables.beside(ours, tables.published(8))
    assert list(table.index) == ["tiny", "large"]
    assert list(table.columns[:4]) == [
        ("da_ddt", "ours"),
        ("da_ddt", "paper"),
        ("hr_set", "ours"),
        ("hr_set", "paper"),
    ]
    assert table.loc["tiny", ("da_ddt", "ours")] == pytest.approx(50)
    assert table.loc["tiny", ("hr_set", "ours")] == "n/a"
    assert table.loc["large", ("da_ddt", "paper")] == 8.1
    assert table.loc["large", ("da_ddt", "ours")] == ""
    assert ("en_ewt", "ours") not in table.columns
