"""Fills templates/page.html: one page with its data, its script and the plotting library in it."""

import datetime

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ...._version import __version__
from ....callbacks.phases import curve as phases
from ....callbacks.phases import departure_test, turns
from ....trainers.cost import FORMULA
from ....trainers.runs.charts import charts_of
from ....trainers.runs.learning_dynamics import STANDARD_ERROR
from ....trainers.runs.reader import RunData
from ..analysis.findings import Findings
from ..analysis.tables import phase_table
from ..few_shot import few_shot_figure
from ..figures import svg
from ..formats import join, number, plural
from ..ner import NERPart
from .axes import axes_note, offered_axes
from .cards import card
from .data import page_data
from .tables import chart_part, dynamics_table, html_table, ner_section


def render(runs: list[RunData], findings: Findings, ner: NERPart, few_shot: pd.DataFrame, files: list[str]) -> str:
    """The page; `files` are the names of the files beside it."""
    environment = Environment(
        loader=PackageLoader("pico_maml.recipes.report.page"), autoescape=True, undefined=StrictUndefined
    )
    summary = findings.tables["summary"]
    whole, single = ([curve for curve in findings.analysed if (curve.layer < 0) == mean] for mean in (True, False))
    data = page_data(runs, findings.analysed)
    longest = max((len(run.metrics) for run in runs), default=0)
    return environment.get_template("page.html").render(
        title="Learning dynamics of " + join([run.label for run in runs]),
        lead=f"{plural(len(runs), 'pretraining run')}, {join(sorted({run.status for run in runs}))}. Every figure "
        "stands beside its baselines.",
        version=__version__,
        written=f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        cards=[card(run, summary.iloc[i], i) for i, run in enumerate(runs)],
        findings=findings,
        axes=offered_axes(runs),
        axes_note=axes_note(runs),
        charts=[chart_part(chart, runs) for chart in charts_of(runs)],
        dynamics_table=dynamics_table(runs),
        has_scores=any(name.endswith(STANDARD_ERROR) for run in runs for name in run.dynamics["quantity"].unique()),
        phase_table=html_table(phase_table(whole)),
        layer_phase_table=html_table(phase_table(single)),
        layer_table=html_table(findings.tables["layers"]),
        relation_table=html_table(findings.tables["relations"]),
        phases=phases,
        departure_test=departure_test,
        turns=turns,
        ner=ner_section(ner),
        few_shot_figure=svg(few_shot_figure(few_shot)) if len(few_shot) else None,
        few_shot_table=html_table(few_shot),
        cost_table=html_table(findings.tables["cost"].set_index("run").T),
        equal_table=html_table(findings.tables["equal_flops"]) if "equal_flops" in findings.tables else None,
        summary_table=html_table(summary.set_index("run").T),
        files=files,
        formula=FORMULA,
        thinned=number(data["points"]) if longest > data["points"] else "",
        data=data,
        plotly=Markup(get_plotlyjs()),
    )
