import numpy as np
import pandas as pd

from pico_maml.trainers.ner.analysis.figures import class_bars, heat_map


def test_heat_map_labels_and_shows_every_cell():
    table = pd.DataFrame([[0.1, 0.9], [np.nan, 0.25]], index=["da_ddt", "hr_set"], columns=["da_ddt", "en_pud"])
    axes = heat_map(table, "tiny maml").axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.10", "0.90", "0.25"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["da_ddt", "hr_set"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["da_ddt", "en_pud"]
    assert axes.images[0].get_clim() == (0, 1)


def test_bars_have_the_height_of_the_difference(tmp_path):
    index = pd.MultiIndex.from_product([["full", "head"], ["tiny", "large"]], names=["mode", "size"])
    table = pd.DataFrame({"PER": [0.1, -0.2, 0.0, 0.3], "LOC": [0.0, 0.1, 0.2, -0.1]}, index=index)
    figure = class_bars(table, "difference")
    full, head = figure.axes
    assert [bar.get_height() for bar in full.patches] == [0.1, -0.2, 0.0, 0.1]
    assert [bar.get_height() for bar in head.patches] == [0.0, 0.3, 0.2, -0.1]
    figure.savefig(tmp_path / "bars.png")
    assert (tmp_path / "bars.png").stat().st_size > 1000
