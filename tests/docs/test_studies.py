"""What the docs say of a kept study is what its tables hold."""

import runpy
from pathlib import Path

import pandas as pd
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"
KEPT = DOCS / "studies" / "episodes"


def test_the_page_gives_the_losses_of_the_kept_verdicts():
    page = (DOCS / "do-episodes-help.md").read_text()
    table = pd.read_csv(KEPT / "verdicts.csv")
    losses = table[(table["measure"] == "loss") & (table["control"] == "vanilla")]
    assert len(losses) == 13
    for _, row in losses.iterrows():
        assert f"{row['mean']:+.3f} [{row['low']:.3f}, {row['high']:.3f}]" in page, row["arm"]


def test_verdicts_are_differences_of_the_kept_runs():
    runs = pd.read_csv(KEPT / "runs.csv").set_index(["arm", "seed"])["loss"]
    table = pd.read_csv(KEPT / "verdicts.csv").query("measure == 'loss'")
    for _, row in table.iterrows():
        assert abs((runs[row["arm"]] - runs[row["control"]]).mean() - row["mean"]) < 1e-9


def test_the_forest_plot_is_drawn_from_the_kept_verdicts(tmp_path):
    script = runpy.run_path(str(DOCS / "make_forest.py"))
    script["main"](*script["KEPT"][:3], str(tmp_path / "forest.png"))
    drawn, shown = (Image.open(path) for path in (tmp_path / "forest.png", DOCS / "images" / "episodes.png"))
    assert drawn.size == shown.size
