"""index.html: one page with its data, its script and the plotting library in it."""

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ..._version import __version__
from ...callbacks.phases.curve import ALPHA, MAXIMUM_KNOTS, MINIMUM_POINTS, MINIMUM_PROMINENCE, RESAMPLES
from ...trainers.cost import FORMULA
from ...trainers.runs.charts import CHARTS, Chart
from ...trainers.runs.reader import AXES, RunData
from .dynamics import curves, kinds
from .findings import Findings
from .formats import join, number, short, span
from .ner import TITLES, NERPart
from .page_data import MAXIMUM_POINTS, page_data
from .palette import LIGHT
from .phase_tables import phase_table

ROWS_OF_A_CHART = 12
ERRORS = {
    "errors": "Recall by length and by whether training showed the entity",
    "confusions": "What was taken for what",
    "longest_entities": "The longest entities",
}
STATES = {
    "finished": "Finished",
    "training": "Still training, or stopped minutes ago",
    "stopped": "Stopped before its end: no final results",
}


@dataclass(frozen=True)
class HTMLTable:
    """Cells as text: rows of the head, rows of the body, and which columns are words."""

    head: list[list[str]]
    body: list[list[str]]
    text: list[bool]


def html_table(frame: pd.DataFrame) -> HTMLTable:
    """A table for people; its index is a column unless it only counts."""
    levels = [list(map(str, column)) if isinstance(column, tuple) else [str(column)] for column in frame.columns]
    index = [] if isinstance(frame.index, pd.RangeIndex) else [str(name or "") for name in frame.index.names]
    flat = frame.reset_index() if index else frame
    depth = max(map(len, levels), default=1)
    blank = [""] * (depth - 1)
    columns = [[*blank, name] for name in index] + levels
    head = [[column[i] for column in columns] for i in range(depth)]
    text = [pd.api.types.is_string_dtype(flat.iloc[:, i]) for i in range(flat.shape[1])]
    return HTMLTable(head, [[number(cell) for cell in row] for row in flat.itertuples(index=False)], text)


def render(runs: list[RunData], found: Findings, ner: NERPart | None, files: list[str]) -> str:
    """The page.

    Args:
        runs: what is shown.
        found: what the analysis says of them.
        ner: of sweeps, None without any.
        files: names of the files beside the page.
    """
    environment = Environment(
        loader=PackageLoader("pico_maml.recipes.report"), autoescape=True, undefined=StrictUndefined
    )
    source = environment.loader.get_source  # type: ignore[union-attr]
    charts = [chart_part(chart, runs) for chart in CHARTS if chart.has_data(runs)]
    mean, single = ([curve for curve in found.analysed if (curve.layer < 0) == wanted] for wanted in (True, False))
    longest = max((len(run.metrics) for run in runs), default=0)
    return environment.get_template("page.html").render(
        title="Learning dynamics of " + join([run.label for run in runs]),
        lead=f"{len(runs)} pretraining {'run' if len(runs) == 1 else 'runs'}, "
        f"{join(sorted({run.status for run in runs}))}. Every figure stands beside its baselines.",
        version=__version__,
        written=f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        sections=sections(ner),
        cards=[
            card(run, row, i) for i, (run, (_, row)) in enumerate(zip(runs, found.summary.iterrows(), strict=True))
        ],
        findings=found.statements,
        axes=[(axis, name) for axis, name in AXES.items() if axis == "step" or any(has(run, axis) for run in runs)],
        charts=charts,
        dynamics_table=dynamics_table(runs),
        phase_findings=found.phase_statements,
        order_findings=found.order_statements,
        phase_table=html_table(phase_table(mean)),
        layer_phase_table=html_table(phase_table(single)),
        layer_table=html_table(found.layers),
        relation_table=html_table(found.relations),
        phase_method=PHASE_METHOD,
        ner=ner_part(ner) if ner else None,
        summary_table=html_table(found.summary.set_index("run").T),
        files=files,
        formula=FORMULA,
        thinned=number(MAXIMUM_POINTS) if longest > MAXIMUM_POINTS else "",
        data=page_data(runs, found.analysed),
        css=Markup(source(environment, "page.css")[0]),
        script=Markup(source(environment, "page.js")[0]),
        plotly=Markup(get_plotlyjs()),
    )


def sections(ner: NERPart | None) -> list[tuple[str, str]]:
    """Ids and names."""
    named = [("summary", "Summary"), ("curves", "Curves"), ("dynamics", "Learning dynamics"), ("phases", "Phases")]
    named += [("ner", "Named entities")] if ner else []
    return [*named, ("tables", "Tables and figures"), ("method", "How it was measured")]


def card(run: RunData, row: pd.Series, index: int) -> dict[str, Any]:
    """A run's figures beside their baselines."""
    of = "" if np.isnan(row["of steps"]) else f" of {row['of steps']:,.0f}"
    main = [("Held-out perplexity", number(row["held-out perplexity"], ",.1f"))]
    rest = [
        (
            "Held-out loss, first to last",
            f"{number(row['held-out loss at first'], '.3f')} → {number(row['held-out loss'], '.3f')}",
        )
    ]
    if not np.isnan(row["prototypes"]):
        name = "query accuracy" if not np.isnan(row["query accuracy"]) else "fresh head"
        main.append(
            ("Query accuracy" if name == "query accuracy" else "Query accuracy, fresh head", f"{row[name]:.1%}")
        )
        rest += [
            ("95 % interval", span(row[f"{name}, low"], row[f"{name}, high"])),
            *([("A fresh head", f"{row['fresh head']:.1%}")] if name == "query accuracy" else []),
            ("Class prototypes, no head", f"{row['prototypes']:.1%}"),
            ("Chance", f"{row['chance']:.1%}"),
        ]
    elif not np.isnan(run.last("query_accuracy")):
        rest.append(("Query accuracy, last training log", f"{run.last('query_accuracy'):.1%}"))
    if not np.isnan(row["NER F1"]):
        rest += [
            ("NER test F1", f"{row['NER F1']:.3f}"),
            ("NER gazetteer baseline", number(row["NER gazetteer baseline"])),
        ]
    rest += [
        ("Parameters", short(row["parameters"])),
        ("Tokens", short(row["tokens"])),
        ("of these by next-token loss", short(row["next-token tokens"])),
        ("Episodes", number(row["episodes"])),
        ("FLOPs, by formula", short(row["FLOPs"])),
        ("Wall-clock", f"{number(row['seconds'], ',.0f')} s"),
    ]
    return {
        "label": run.label,
        "colour": LIGHT[index % len(LIGHT)],
        "status": run.status,
        "state": f"{STATES[run.status]}, step {run.steps:,}{of}",
        "main": [pair for pair in main if pair[1] != "n/a"],
        "rest": [pair for pair in rest if "n/a" not in pair[1]],
        "notes": "; ".join(run.notes),
    }


def chart_part(chart: Chart, runs: list[RunData]) -> dict[str, Any]:
    """A chart's words: what it says in a line a run, and its table."""
    style = ".1%" if chart.percent else ".4g"
    said: list[str] = []
    columns = {}
    for run in runs:
        for series in chart.series:
            curve = run.curve(series.metric)
            if len(curve):
                first, last = curve.iloc[0], curve.iloc[-1]
                name = f"{run.label}, {series.name}" if len(chart.series) > 1 else run.label
                said.append(
                    f"{name}: {first['value']:{style}} at step {first['step']:,.0f}, {last['value']:{style}} at step "
                    f"{last['step']:,.0f}, between {curve['value'].min():{style}} and {curve['value'].max():{style}}."
                )
                columns[name] = curve.set_index("step")["value"].map(lambda value: f"{value:{style}}")
    table = pd.DataFrame(columns).rename_axis("step")
    rows = np.unique(np.linspace(0, len(table) - 1, min(len(table), ROWS_OF_A_CHART)).round().astype(int))
    parts = {name: chart.__dict__[name] for name in ("key", "title", "unit", "text")}
    return {
        **parts,
        "key_text": lines_text(chart),
        "said": said,
        "table": html_table(table.iloc[rows].fillna("").reset_index()),
    }


def lines_text(chart: Chart) -> str:
    """Which line is what, where a run has several."""
    named = {"solid": "Solid", "dash": "dashed", "dot": "dotted"}
    lines = [f"{named[series.dash]}: {series.name}" for series in chart.series]
    return f"{', '.join(lines)}." if len(lines) > 1 else ""


def dynamics_table(runs: list[RunData]) -> HTMLTable | None:
    """First and last value of each quantity and module, mean over layers; None where nothing was measured."""
    rows = []
    for run in runs:
        for kind in kinds([run]):
            found = curves(run, kind)
            for module, layer in sorted(found):
                if layer == -1 or (module, -1) not in found:
                    curve = found[module, layer]
                    first, last = curve.iloc[0], curve.iloc[-1]
                    rows.append(
                        {
                            "run": run.label,
                            "quantity": kind.title,
                            "module": module,
                            "measured at": f"{len(curve)} steps",
                            "first": f"{first['value']:.4g} (step {first['step']:,.0f})",
                            "last": f"{last['value']:.4g} (step {last['step']:,.0f})",
                        }
                    )
    return html_table(pd.DataFrame(rows)) if rows else None


def ner_part(ner: NERPart) -> dict[str, Any]:
    """The NER section."""
    heat_maps = [
        (
            title,
            {
                "columns": list(map(str, table.columns)),
                "rows": [
                    (name, [None if np.isnan(f1) else f1 for f1 in row])
                    for name, row in zip(table.index, table.to_numpy(float), strict=True)
                ],
            },
        )
        for title, table in ner.heat_maps.items()
    ]
    return {
        "count": ner.count,
        "note": ner.note,
        "heat_maps": heat_maps,
        "tables": [(title, html_table(ner.tables[name])) for name, title in TITLES.items() if len(ner.tables[name])],
        "errors": [(title, html_table(ner.tables[name])) for name, title in ERRORS.items() if name in ner.tables],
    }


def has(run: RunData, axis: str) -> bool:
    """Whether a run knows a unit beyond its start."""
    return bool((run.metrics[axis] > 0).any())


PHASE_METHOD = (
    f"At least {MINIMUM_POINTS} points are needed. Change points (at most {MAXIMUM_KNOTS}) are added one at a time "
    f"while a bootstrap test at the {ALPHA:.0%} level finds more than noise: residuals are taken to be first-order "
    "autoregressive, their autocorrelation estimated from the curve and raised by one standard error. Intervals are "
    f"percentiles of {RESAMPLES} refits. A knee must rise before and fall after in 97.5 % of them, each by at least "
    f"{MINIMUM_PROMINENCE:.0%} of the fit's range. Noise is taken to be equally large all along; smooth bends come "
    "out as change points too. Layers of one model are resampled as if independent of each other, which they are not."
)
