"""What stands under the page's charts: each chart in words and as a table, and tables of everything else."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from ....trainers.runs.charts import Chart
from ....trainers.runs.reader import RunData
from ..dynamics import curves, kinds
from ..formats import number
from ..ner import ERRORS, TITLES, NERPart
from .data import thin

ROWS_OF_A_CHART = 12
DASHES = {"solid": "Solid", "dash": "dashed", "dot": "dotted"}


@dataclass(frozen=True)
class HTMLTable:
    """Cells as text: rows of the head, rows of the body, and which columns are words."""

    head: list[list[str]]
    body: list[list[str]]
    text: list[bool]


def html_table(frame: pd.DataFrame) -> HTMLTable:
    """A table as text; its index becomes a column unless it only counts rows."""
    levels = [list(map(str, column)) if isinstance(column, tuple) else [str(column)] for column in frame.columns]
    index = [] if isinstance(frame.index, pd.RangeIndex) else [str(name or "") for name in frame.index.names]
    flat = frame.reset_index() if index else frame
    depth = max(map(len, levels), default=1)
    columns = [[*[""] * (depth - 1), name] for name in index] + levels
    head = [[column[i] for column in columns] for i in range(depth)]
    text = [pd.api.types.is_string_dtype(flat.iloc[:, i]) for i in range(flat.shape[1])]
    return HTMLTable(head, [[number(cell) for cell in row] for row in flat.itertuples(index=False)], text)


def chart_part(chart: Chart, runs: list[RunData]) -> dict[str, Any]:
    """A chart's heading, a sentence a line, and its table."""
    style = ".1%" if chart.percent else ".4g"
    sentences: list[str] = []
    columns = {}
    for run, series in product(runs, chart.lines):
        curve = run.curve(series.metric)
        if len(curve):
            first, last = curve.iloc[0], curve.iloc[-1]
            name = f"{run.label}, {series.name}" if len(chart.lines) > 1 else run.label
            sentences.append(
                f"{name}: {first['value']:{style}} at step {first['step']:,.0f}, {last['value']:{style}} at step "
                f"{last['step']:,.0f}, between {curve['value'].min():{style}} and {curve['value'].max():{style}}."
            )
            columns[name] = curve.set_index("step")["value"].map(lambda value: f"{value:{style}}")
    table = pd.DataFrame(columns).rename_axis("step")
    styles = [f"{DASHES[series.dash]}: {series.name}" for series in chart.lines]
    return {
        "key": chart.key,
        "title": chart.title,
        "unit": chart.unit,
        "text": f"{chart.text} {', '.join(styles)}." if len(styles) > 1 else chart.text,
        "sentences": sentences,
        "table": html_table(table.iloc[thin(len(table), ROWS_OF_A_CHART)].fillna("").reset_index()),
    }


def dynamics_table(runs: list[RunData]) -> HTMLTable | None:
    """First and last value of each quantity and module, mean over layers; None when nothing was measured."""
    rows = []
    for run, kind in ((each, kind) for each in runs for kind in kinds([each])):
        own = curves(run, kind)
        for (module, layer), curve in sorted(own.items()):
            if layer == -1 or (module, -1) not in own:
                ends = (f"{_value(end)} (step {end['step']:,.0f})" for end in (curve.iloc[0], curve.iloc[-1]))
                rows.append((run.label, kind.title, module, f"{len(curve)} steps", *ends))
    columns = ["run", "quantity", "module", "measured at", "first", "last"]
    return html_table(pd.DataFrame(rows, columns=columns)) if rows else None


def _value(point: pd.Series) -> str:
    """A value, with its 95 % interval where the standard error is known."""
    interval = f" ± {1.96 * point['error']:.2g}" if point.get("error", np.nan) >= 0 else ""
    return f"{point['value']:.4g}{interval}"


def ner_section(ner: NERPart) -> dict[str, Any]:
    """Heat maps and tables of the NER sweeps."""
    return {
        "count": ner.count,
        "statements": ner.statements,
        "note": ner.note,
        "heat_maps": [heat_map(title, table) for title, table in ner.heat_maps.items()],
        "tables": _titled(ner, TITLES),
        "errors": _titled(ner, ERRORS),
    }


def heat_map(title: str, table: pd.DataFrame) -> dict[str, Any]:
    """A heat map's title, columns, and rows with their names; None where a cell is missing."""
    cells = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    return {"title": title, "columns": list(table.columns), "rows": list(zip(table.index, cells, strict=True))}


def _titled(ner: NERPart, titles: dict[str, str]) -> list[tuple[str, HTMLTable]]:
    return [(title, html_table(ner.tables[name])) for name, title in titles.items() if len(ner.tables.get(name, ()))]
