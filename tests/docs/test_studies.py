"""What the docs say of a kept study is what its tables hold."""

import runpy
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"
STUDIES = DOCS / "studies"
EPISODES, CLASSES = STUDIES / "episodes", STUDIES / "classes-confirmation"


def stated(row: pd.Series, scale: int, digits: int) -> str:
    mean, low, high = (scale * row[name] for name in ("mean", "low", "high"))
    return f"{mean:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def test_the_page_gives_the_losses_of_the_kept_verdicts():
    page = (DOCS / "do-episodes-help.md").read_text()
    table = pd.read_csv(EPISODES / "verdicts.csv")
    losses = table[(table["measure"] == "loss") & (table["control"] == "vanilla")]
    assert len(losses) == 13
    for _, row in losses.iterrows():
        assert stated(row, 1, 3) in page, row["arm"]


def test_the_page_gives_every_difference_from_vanilla_and_every_primary_test_of_the_confirmation():
    page = (DOCS / "do-episodes-help.md").read_text()
    table = pd.read_csv(CLASSES / "verdicts.csv")
    shown = table[(table["control"] == "vanilla") | table["primary"]]
    shown = shown[shown["measure"] != "ner/head/en_ewt/en_ewt"]
    assert len(shown) == 6 * 4 + 2
    for _, row in shown.iterrows():
        expected = stated(row, 1, 3) if row["measure"] == "loss" else stated(row, 100, 1)
        assert expected in page, (row["arm"], row["control"], row["measure"])


LIMITS = [STUDIES / f"class-limits-{name}" for name in ("longer", "prose", "croatian", "tiny")]


@pytest.mark.parametrize("study", LIMITS, ids=lambda path: path.name)
def test_the_page_gives_the_losses_and_f1_of_the_studies_of_limits(study):
    page = (DOCS / "do-episodes-help.md").read_text()
    table = pd.read_csv(study / "verdicts.csv")
    shown = table[
        (table["control"] == "vanilla") & ~table["arm"].eq("classes-svd")
        | table["arm"].eq("classes-svd") & table["control"].eq("svd")
    ]
    shown = shown[~shown["measure"].str.endswith(("en_pud", "en_ewt/en_ewt", "hr_set/hr_set"))]
    assert len(shown) >= 2 * 3
    for _, row in shown.iterrows():
        expected = stated(row, 1, 3) if row["measure"] == "loss" else stated(row, 100, 1)
        assert expected in page, (row["arm"], row["measure"])


@pytest.mark.parametrize(("arm", "name"), [("classes-maml", "inner loop"), ("classes-memory", "prototypes")])
@pytest.mark.parametrize("group", ["training words", "held-out words", "held-out classes"])
def test_the_page_gives_the_accuracies_of_class_heads(arm, name, group):
    page = (DOCS / "do-episodes-help.md").read_text()
    table = pd.read_csv(STUDIES / "class-adaptation" / "accuracies.csv").query("arm == @arm and group == @group")
    assert len(table) == 3
    cells = [
        ", ".join(f"{100 * value:.0f}" for value in table[part]) if table[part].notna().all() else "-"
        for part in ("before", "after", "shuffled")
    ]
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {name}, {group} |")]
    assert line.split(" | ")[2:] == [*cells[:2], f"{cells[2]} |"]


@pytest.mark.parametrize("study", [EPISODES, CLASSES, *LIMITS])
def test_verdicts_are_differences_of_the_kept_runs(study):
    runs = pd.read_csv(study / "runs.csv").set_index(["arm", "seed"])["loss"]
    table = pd.read_csv(study / "verdicts.csv").query("measure == 'loss'")
    for _, row in table.iterrows():
        assert abs((runs[row["arm"]] - runs[row["control"]]).mean() - row["mean"]) < 1e-9


@pytest.mark.parametrize("study", ["episodes", "classes-confirmation", "class-limits-longer"])
def test_the_forest_plot_is_drawn_from_the_kept_verdicts(tmp_path, study):
    script = runpy.run_path(str(DOCS / "make_forest.py"))
    drawn, shown = (
        Image.open(path) for path in (script["of_kept"](study, tmp_path), DOCS / "images" / f"{study}.png")
    )
    assert drawn.size == shown.size
