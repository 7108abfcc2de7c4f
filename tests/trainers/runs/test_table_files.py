import pandas as pd

from pico_maml.trainers.runs.table_files import write_table


def test_tables_are_csv_and_latex_with_missing_values_named(tmp_path):
    table = pd.DataFrame({"a_b": [0.123456, None]}, index=pd.Index(["x", "y"], name="run"))
    write_table(tmp_path / "tables", "named", table, "{:.1f}")
    assert (tmp_path / "tables" / "named.csv").read_text() == "run,a_b\nx,0.123456\ny,n/a\n"
    latex = (tmp_path / "tables" / "named.tex").read_text()
    assert r"a\_b" in latex
    assert "x & 0.1 \\" in latex
    assert "y & n/a \\" in latex


def test_row_numbers_are_no_column(tmp_path):
    write_table(tmp_path, "numbered", pd.DataFrame({"a": [12345.678]}))
    assert (tmp_path / "numbered.csv").read_text() == "a\n12345.678\n"
    assert "1.235e+04" in (tmp_path / "numbered.tex").read_text()
