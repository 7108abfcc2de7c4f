"""Draw the forest plot of a study that README shows, from the study's table of verdicts.

python docs/make_forest.py                                          # of the study kept beside the docs
python docs/make_forest.py runs/study/tables/verdicts.csv loss vanilla forest.png
"""

import ast
import sys
from pathlib import Path

import pandas as pd

from pico_maml.recipes.compare.page.figures import forest

DOCS = Path(__file__).parent
KEPT = (str(DOCS / "studies" / "episodes" / "verdicts.csv"), "loss", "vanilla", str(DOCS / "images" / "episodes.png"))


def main(verdicts: str, measure: str, control: str, picture: str) -> None:
    """Save the differences in one measure of all arms against one control as a PNG file."""
    table = pd.read_csv(verdicts, converters={"differences": ast.literal_eval})
    (figure,) = forest(table[(table["measure"] == measure) & (table["control"] == control)])
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    main(*(sys.argv[1:] or KEPT))
