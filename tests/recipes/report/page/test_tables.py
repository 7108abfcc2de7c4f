import numpy as np
import pandas as pd

from pico_maml.recipes.report.page.tables import heat_map, html_table


def test_an_index_becomes_a_column_and_missing_numbers_are_named():
    frame = pd.DataFrame({"loss": [1234.0, np.nan], "note": ["a", "b"]}, index=pd.Index(["x", "y"], name="run"))
    table = html_table(frame)
    assert table.head == [["run", "loss", "note"]]
    assert table.body == [["x", "1,234", "a"], ["y", "n/a", "b"]]
    assert table.text == [True, False, True]


def test_columns_with_two_levels_have_two_rows_of_names():
    table = html_table(pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("en", "ours"), ("en", "paper")])))
    assert table.head == [["en", "en"], ["ours", "paper"]]


def test_a_missing_cell_of_a_heat_map_is_none():
    table = pd.DataFrame([[0.5, np.nan]], index=["en_ewt"], columns=["en_ewt", "da_ddt"])
    assert heat_map("F1", table)["rows"] == [("en_ewt", [0.5, None])]
