"""The report's figures for print, numbered after the paper's figures that they follow."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...trainers.runs.charts import CHARTS, RANKED, Chart
from ...trainers.runs.reader import RunData
from .analysis.phases import AnalysedCurve
from .dynamics import OBJECTIVES, Kind, curves, kinds
from .figures import FINE, GREY, draw_chance, format_y, run_curves, run_dynamics
from .palette import colour_of, tint

STYLE = Path(__file__).with_name("paper.mplstyle")
BY_KEY = {chart.key: chart for chart in CHARTS}
# File name: keys of the charts that it shows one above the other.
STACKED = {
    "figure_02-loss_and_perplexity": ("next_token_loss", "perplexity"),
    "figure_04-support_and_query_accuracy": ("support_accuracy", "query_accuracy"),
    "figure_05-head_weights": ("head_weight_std", "head_weight_mean"),
    "figure_09-query_accuracy": ("query_accuracy",),
    "figure_10-support_accuracy": ("support_accuracy",),
    "figure_11-head_weight_mean": ("head_weight_mean",),
    "figure_12-head_weight_std": ("head_weight_std",),
}
# Quantity by the number of its figure, and what it was measured of.
RANKS = {
    29: ("effective_rank", "gradients"),
    30: (RANKED, "gradients"),
    31: ("effective_rank", "weights"),
    32: (RANKED, "weights"),
}
DASHES: dict[str, Literal["-", "--", ":"]] = {"solid": "-", "dash": "--", "dot": ":"}


def paper_figures(runs: list[RunData], analysed: list[AnalysedCurve]) -> Iterator[tuple[str, Figure]]:
    """Every figure that the runs have data for, with the name of its file."""
    for name, keys in STACKED.items():
        charts = [BY_KEY[key] for key in keys if BY_KEY[key].has_data(runs)]
        if charts:
            yield name, _stacked_charts(runs, charts)
    for i, run in enumerate(runs):
        suffix = f"-run_{i + 1}" if len(runs) > 1 else ""
        own = [curve for curve in analysed if curve.run == run.label]
        if own:
            yield f"figure_06-phases{suffix}", _phase_panels(run, own, colour_of(i))
        for name, figure in (("model_card", run_curves(run)), ("model_card-dynamics", run_dynamics(run))):
            if figure is not None:
                yield f"{name}{suffix}", figure
    for number, (quantity, of) in RANKS.items():
        measured = [kind for kind in kinds(runs) if kind.quantity == quantity]
        if chosen := [kind for kind in measured if of == ("gradients" if kind.objective else "weights")]:
            yield f"figure_{number}-{quantity}_of_{of}", _by_layer(runs, chosen)
    if ranked := [kind for kind in kinds(runs) if kind.quantity == RANKED]:
        yield f"figure_33-{RANKED}_by_run", _by_run(runs, sorted(ranked, key=lambda kind: not kind.objective))


def _stacked_panels(count: int, margin: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with panels one above the other over the same steps; `margin` and `height` of a panel in inches."""
    figure = Figure(figsize=(6.2, margin + height * count), layout="constrained")
    panels = list(figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0])
    panels[-1].set_xlabel("steps")
    return figure, panels


def _stacked_charts(runs: list[RunData], charts: list[Chart]) -> Figure:
    """Logged metrics, a panel a chart, a colour a run, one legend for all panels."""
    figure, panels = _stacked_panels(len(charts), 1.0, 2.3)
    handles: dict[str, Line2D] = {}
    for axes, chart in zip(panels, charts, strict=True):
        for i, run in enumerate(runs):
            for series in chart.lines:
                if len(run.curve(series.metric)):
                    _plot(axes, run.curve(series.metric), color=colour_of(i), linestyle=DASHES[series.dash])
                    handles[run.label] = Line2D([], [], color=colour_of(i))
        format_y(axes, chart)
        if len(chart.lines) > 1:
            handles |= {part.name: Line2D([], [], color=GREY, linestyle=DASHES[part.dash]) for part in chart.lines}
        if chart.chance:
            draw_chance(axes, runs)
            handles["chance"] = Line2D([], [], color=GREY, linewidth=0.9, linestyle=FINE)
        axes.set(title=chart.title, ylabel=chart.unit)
    figure.legend(list(handles.values()), list(handles), loc="outside lower left", ncols=2)
    return figure


def _phase_panels(run: RunData, own: list[AnalysedCurve], colour: str) -> Figure:
    """Figure 6: a run's logged curves, their fits, phases with their intervals as bands, the learning rate dotted."""
    shown = [curve for curve in own if curve.of_model]
    figure, panels = _stacked_panels(len(shown), 0.8, 1.5)
    for axes, curve in zip(panels, shown, strict=True):
        phases = curve.phases
        _plot(axes, curve.data, color=tint(colour, 0.45), linewidth=1)
        axes.plot(phases.x, phases.fitted, color=colour, linewidth=1.6)
        for point in phases.change_points:
            axes.axvspan(point.at.low, point.at.high, color="#999999", alpha=0.18, linewidth=0)
            axes.axvline(point.at.value, color=GREY, linewidth=0.8)
        if curve.data["rate"].notna().any():
            beside = axes.twinx()
            beside.plot(curve.data["step"], curve.data["rate"], color=GREY, linewidth=0.8, linestyle=FINE)
            beside.set_yticks([])
        found = [f"{point.kind} at {point.at.value:,.0f}" for point in phases.change_points]
        text = phases.note or "; ".join(found) or "no phase"
        axes.set_title(f"{curve.name}\n{text}", fontsize=8, fontweight="normal")
        axes.locator_params(axis="y", nbins=4)
    title = f"Phases of {run.label} (dotted: learning rate)"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=10)
    return figure


def _by_layer(runs: list[RunData], chosen: list[Kind]) -> Figure:
    """Figures 29 to 32: a row a run and kind, a column a module, lines from the first layer (pale) to the last."""
    rows = [(i, run, kind, own) for i, run in enumerate(runs) for kind in chosen if (own := curves(run, kind))]
    modules = sorted({module for *_, own in rows for module, layer in own if layer >= 0})
    figure = Figure(figsize=(1.0 + 2.5 * len(modules), 0.7 + 2.1 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), len(modules), sharex=True, sharey="row", squeeze=False)
    for line, (i, run, kind, own) in zip(panels, rows, strict=True):
        for axes, module in zip(line, modules, strict=True):
            layers = sorted(layer for name, layer in own if name == module and layer >= 0)
            for place, layer in enumerate(layers, 1):
                colour = tint(colour_of(i), 0.3 + 0.7 * place / len(layers))
                _plot(axes, own[module, layer], color=colour, label=f"layer {layer}")
            axes.set_title(f"{run.label}\n{module}" if len(runs) > 1 else module, fontsize=8)
        line[0].set_ylabel(OBJECTIVES.get(kind.objective, kind.objective) or "weights")
        line[-1].legend(loc="best", fontsize=7)
    for axes in panels[-1]:
        axes.set_xlabel("steps")
    return figure


def _by_run(runs: list[RunData], chosen: list[Kind]) -> Figure:
    """Figure 33: means over layers and modules, a panel a kind, a line a run."""
    figure, panels = _stacked_panels(len(chosen), 0.7, 2.1)
    for axes, kind in zip(panels, chosen, strict=True):
        for i, run in enumerate(runs):
            rows = run.dynamics
            rows = rows[(rows["quantity"] == kind.quantity) & (rows["objective"] == kind.objective)]
            mean = rows.dropna(subset=["value"]).groupby("step", as_index=False)["value"].mean()
            if len(mean):
                _plot(axes, mean, color=colour_of(i), label=run.label)
        axes.set(title=kind.title)
        axes.legend(loc="best")
    figure.suptitle("Means over layers and modules", x=0.01, ha="left", fontsize=9)
    return figure


def _plot(axes: Axes, curve: pd.DataFrame, **options: Any) -> None:
    """Draw a curve; with dots if it is short, where a line alone would hide how few points there are."""
    axes.plot(curve["step"], curve["value"], marker="." if len(curve) <= 12 else "", **options)


def write_figures(folder: Path, named: Iterable[tuple[str, Figure]], formats: list[str]) -> None:
    """Save each figure in every format."""
    folder.mkdir(exist_ok=True)
    with style.context(STYLE):
        for name, figure in named:
            # The layout takes longer than the drawing: compute it once for all formats.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            for kind in formats:
                figure.savefig(folder / f"{name}.{kind}", dpi=150)
