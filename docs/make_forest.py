"""Draw the forest plots of the studies that the docs show, from the studies' tables of verdicts.

python docs/make_forest.py                                          # of the studies kept beside the docs
python docs/make_forest.py runs/study/tables/verdicts.csv loss vanilla forest.png
"""

import ast
import sys
from pathlib import Path

import pandas as pd

from pico_maml.recipes.compare.page.figures import forest

DOCS = Path(__file__).parent
KEPT = ("episodes", "classes-confirmation", "class-limits-longer")


def main(verdicts: str, measure: str, control: str, picture: str) -> None:
    """Save the differences in one measure of all arms against one control as a PNG file."""
    table = pd.read_csv(verdicts, converters={"differences": ast.literal_eval})
    (figure,) = forest(table[(table["measure"] == measure) & (table["control"] == control)])
    figure.savefig(picture, dpi=150)


def of_kept(study: str, folder: Path) -> Path:
    """Save the held-out losses of a kept study's arms beside vanilla in a folder."""
    picture = folder / f"{study}.png"
    main(str(DOCS / "studies" / study / "verdicts.csv"), "loss", "vanilla", str(picture))
    return picture


if __name__ == "__main__":
    if sys.argv[1:]:
        main(*sys.argv[1:])
    else:
        for name in KEPT:
            of_kept(name, DOCS / "images")
