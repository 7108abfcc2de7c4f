"""The report's figures for print, in the manner of the paper's, as matplotlib draws them."""

from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from ...trainers.runs.charts import CHARTS, Chart, chance
from ...trainers.runs.reader import RunData
from .dynamics import ALL_MODULES, RANKED, Kind, curves, kinds
from .palette import colour_of, tint
from .phase_tables import AnalysedCurve

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    # Names of runs are not formulas.
    "text.parse_math": False,
}
BY_KEY = {chart.key: chart for chart in CHARTS}
# File name: the charts one above the other, after the paper's figure of that number.
STACKED = {
    "figure_02-loss_and_perplexity": ("next_token_loss", "perplexity"),
    "figure_04-support_and_query_accuracy": ("support_accuracy", "query_accuracy"),
    "figure_05-head_weights": ("head_weight_std", "head_weight_mean"),
    "figure_09-query_accuracy": ("query_accuracy",),
    "figure_10-support_accuracy": ("support_accuracy",),
    "figure_11-head_weight_mean": ("head_weight_mean",),
    "figure_12-head_weight_std": ("head_weight_std",),
}
RANKS = {
    "effective_rank": ("figure_29-effective_rank_of_gradients", "figure_31-effective_rank_of_weights"),
    "proportional_effective_rank": (
        "figure_30-proportional_effective_rank_of_gradients",
        "figure_32-proportional_effective_rank_of_weights",
    ),
}
GREY, FINE = "#777777", (0, (1, 2))
DASHES: dict[str, Literal["-", "--", ":"]] = {"solid": "-", "dash": "--", "dot": ":"}


def figures(runs: list[RunData], analysed: list[AnalysedCurve]) -> Iterator[tuple[str, Figure]]:
    """Every figure that there is data for, by the name of its file; `write_figures` draws them."""
    for name, keys in STACKED.items():
        stacked = [BY_KEY[key] for key in keys if BY_KEY[key].shown_for(runs)]
        if stacked:
            yield name, logged(runs, stacked)
    for i, run in enumerate(runs):
        own = [curve for curve in analysed if curve.run == run.label]
        if own:
            suffix = f"-run_{i + 1}" if len(runs) > 1 else ""
            yield f"figure_06-phases{suffix}", phase_panels(run, own, colour_of(i))
        yield f"model_card{f'-run_{i + 1}' if len(runs) > 1 else ''}", model_card(run, colour_of(i))
    for quantity, (gradients, weights) in RANKS.items():
        found = [kind for kind in kinds([run.dynamics for run in runs]) if kind.quantity == quantity]
        for name, chosen in (
            (gradients, [k for k in found if k.objective]),
            (weights, [k for k in found if not k.objective]),
        ):
            if chosen:
                yield name, by_layer(runs, chosen)
    ranked = [kind for kind in kinds([run.dynamics for run in runs]) if kind.quantity == "proportional_effective_rank"]
    if ranked:
        yield (
            "figure_33-proportional_effective_rank_by_run",
            by_run(runs, sorted(ranked, key=lambda kind: not kind.objective)),
        )


def logged(runs: list[RunData], charts: list[Chart]) -> Figure:
    """Logged metrics over steps, one panel a chart, one colour a run; one legend for all."""
    figure = Figure(figsize=(6.2, 1.0 + 2.3 * len(charts)), layout="constrained")
    panels = figure.subplots(len(charts), 1, sharex=True, squeeze=False)[:, 0]
    handles: dict[str, Line2D] = {}
    for axes, chart in zip(panels, charts, strict=True):
        for i, run in enumerate(runs):
            if draw(axes, chart, run, colour_of(i)):
                handles[run.label] = Line2D([], [], color=colour_of(i))
        if len(chart.series) > 1:
            handles |= {part.name: Line2D([], [], color=GREY, linestyle=DASHES[part.dash]) for part in chart.series}
        if chart.chance:
            draw_chance(axes, runs)
            handles["chance"] = Line2D([], [], color=GREY, linewidth=0.9, linestyle=FINE)
        axes.set(title=chart.title, ylabel=chart.unit)
    panels[-1].set_xlabel("steps")
    figure.legend(list(handles.values()), list(handles), loc="outside lower left", ncols=2)
    return figure


def draw(axes: Axes, chart: Chart, run: RunData, colour: str) -> bool:
    """A run's lines of one chart; whether there were any."""
    drawn = [(series, curve) for series in chart.series if len(curve := run.curve(series.metric))]
    for series, curve in drawn:
        axes.plot(
            curve["step"], curve["value"], DASHES[series.dash], color=colour, label=series.name, marker=dots(curve)
        )
    if chart.log and drawn:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if chart.percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    return bool(drawn)


def draw_chance(axes: Axes, runs: list[RunData]) -> None:
    """A line at 1 / N of each run that had episodes."""
    for level in {level for run in runs if (level := chance(run)) is not None}:
        axes.axhline(level, color=GREY, linewidth=0.9, linestyle=FINE, label="chance")


def phase_panels(run: RunData, own: list[AnalysedCurve], colour: str) -> Figure:
    """Figure 6: a run's curves one above the other, points, fit and change points with their intervals as bands."""
    shown = [curve for curve in own if curve.layer < 0 and curve.module in ("", ALL_MODULES)]
    figure = Figure(figsize=(6.2, 0.8 + 1.5 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, curve in zip(panels, shown, strict=True):
        data, phases = curve.data, curve.phases
        axes.plot(data["step"], data["value"], color=tint(colour, 0.45), linewidth=1, marker=dots(data))
        axes.plot(phases.x, phases.fitted, color=colour, linewidth=1.6)
        for point in phases.change_points:
            axes.axvspan(point.at.low, point.at.high, color="#999999", alpha=0.18, linewidth=0)
            axes.axvline(point.at.value, color="#777777", linewidth=0.8)
        found = f"; knee at {phases.knee.at.value:,.0f}" if phases.knee else ""
        count = len(phases.change_points)
        said = phases.note or f"{count or 'no'} change point{'' if count == 1 else 's'}{found or ', no knee'}"
        axes.set_title(f"{curve.name}\n{said}", fontsize=8, fontweight="normal")
        axes.locator_params(axis="y", nbins=4)
    panels[-1].set_xlabel("steps")
    figure.suptitle(f"Phases of {run.label}", x=0.01, ha="left", fontweight="bold", fontsize=10)
    return figure


def model_card(run: RunData, colour: str) -> Figure:
    """What a model's page shows of its training, side by side: losses, query accuracy and effective rank."""
    shown = [BY_KEY[key] for key in ("next_token_loss", "query_accuracy") if BY_KEY[key].shown_for([run])]
    ranked = [kind for kind in kinds([run.dynamics]) if kind.quantity == RANKED and not kind.objective]
    count = max(1, len(shown) + len(ranked))
    figure = Figure(figsize=(0.4 + 3.1 * count, 2.5), layout="constrained")
    panels = list(figure.subplots(1, count, squeeze=False)[0])
    for axes, chart in zip(panels, shown, strict=False):
        draw(axes, chart, run, colour)
        if chart.chance:
            draw_chance(axes, [run])
        axes.set(title=chart.title, xlabel="steps")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best")
    for axes, kind in zip(panels[len(shown) :], ranked, strict=False):
        found = curves(run, kind)
        # The mean over layers, or the only layer there is.
        lines = {
            module: found[module, layer] for module, layer in sorted(found, reverse=True) if module != ALL_MODULES
        }
        for (module, data), dash in zip(lines.items(), cycle(("-", "--", ":", "-.")), strict=False):
            axes.plot(data["step"], data["value"], dash, color=colour, label=module, marker=dots(data))
        axes.set(title="Effective rank of weights / d", xlabel="steps")
        axes.legend(loc="best")
    return figure


def by_layer(runs: list[RunData], chosen: list[Kind]) -> Figure:
    """Figures 29 to 32: a row a run and kind, a column a module, lines from the first layer (pale) to the last."""
    rows = [(i, run, kind, curves(run, kind)) for i, run in enumerate(runs) for kind in chosen]
    rows = [row for row in rows if row[3]]
    modules = sorted({module for *_, found in rows for module, layer in found if layer >= 0})
    figure = Figure(figsize=(1.0 + 2.5 * len(modules), 0.7 + 2.1 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), len(modules), sharex=True, sharey="row", squeeze=False)
    for line, (i, run, kind, found) in zip(panels, rows, strict=True):
        for axes, module in zip(line, modules, strict=True):
            layers = sorted(layer for name, layer in found if name == module and layer >= 0)
            for layer in layers:
                data = found[module, layer]
                share = 0.3 + 0.7 * (layers.index(layer) + 1) / len(layers)
                colour = tint(colour_of(i), share)
                axes.plot(data["step"], data["value"], color=colour, label=f"layer {layer}", marker=dots(data))
            axes.set_title(f"{run.label}\n{module}" if len(runs) > 1 else module, fontsize=8)
        line[0].set_ylabel(OBJECTIVE_LABELS.get(kind.objective, kind.objective) or "weights")
        line[-1].legend(loc="best", fontsize=7)
    for axes in panels[-1]:
        axes.set_xlabel("steps")
    return figure


def by_run(runs: list[RunData], chosen: list[Kind]) -> Figure:
    """Figure 33: means over layers and modules, a panel a kind, a line a run."""
    figure = Figure(figsize=(6.2, 0.7 + 2.1 * len(chosen)), layout="constrained")
    panels = figure.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    for axes, kind in zip(panels, chosen, strict=True):
        for i, run in enumerate(runs):
            rows = run.dynamics
            rows = rows[(rows["quantity"] == kind.quantity) & (rows["objective"] == kind.objective)]
            mean = rows.dropna(subset=["value"]).groupby("step", as_index=False)["value"].mean()
            if len(mean):
                axes.plot(mean["step"], mean["value"], color=colour_of(i), label=run.label, marker=dots(mean))
        axes.set(title=kind.title)
        axes.legend(loc="best")
    panels[-1].set_xlabel("steps")
    figure.suptitle("Means over layers and modules", x=0.01, ha="left", fontsize=9)
    return figure


OBJECTIVE_LABELS = {"next_token": "next-token gradient", "query": "query gradient", "sum": "shared gradient"}


def dots(data: object) -> str:
    """A marker where a line alone would hide how few points there are."""
    return "." if len(data) <= 12 else ""  # type: ignore[arg-type]


def write_figures(folder: Path, named: Iterable[tuple[str, Figure]], formats: list[str]) -> None:
    """Draw figures and save each in every format."""
    folder.mkdir(exist_ok=True)
    with mpl.rc_context(STYLE):
        for name, figure in named:
            # Placing is dearer than drawing: once, not once a format and again for each draw.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            for kind in formats:
                figure.savefig(folder / f"{name}.{kind}", dpi=150)
