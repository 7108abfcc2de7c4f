"""Figures of one run for its model card, the trackers and the report: what the catalogue marks `on_card`."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from markupsafe import Markup
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from ...trainers.runs.charts import CHARTS, Chart, chance_level
from ...trainers.runs.reader import RunData
from .dynamics import kinds

GREY = "#777777"
FINE = (0, (1, 2))


def save_png(figure: Figure | None, path: Path) -> bool:
    """Write a figure as PNG; False, and no file, when there is none."""
    if figure is None:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without matplotlib's version, so that the same run gives the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return True


def svg(figure: Figure) -> Markup:
    """A figure to place in a page, and free its memory."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = file.getvalue()
    return Markup(text[text.index("<svg") :])


def run_curves(run: RunData) -> Figure | None:
    """One panel a chart of the catalogue; None when there is nothing to draw."""
    panels = []
    for chart in CHARTS:
        lines = [(series.name, run.curve(series.metric)) for series in (*chart.lines, *chart.card_series)]
        lines = [(name, curve) for name, curve in lines if len(curve) > 1]
        if chart.on_card and lines:
            panels.append((chart, lines))
    if not panels:
        return None
    figure, grid = _panel_grid(len(panels))
    for axes, (chart, lines) in zip(grid, panels, strict=True):
        for name, curve in lines:
            axes.plot(curve["step"], curve["value"], label=name, linewidth=1.4)
        format_y(axes, chart)
        if chart.chance:
            draw_chance(axes, [run])
        _finish_panel(axes, chart.title, chart.unit)
        if len(axes.lines) > 1:
            axes.legend(fontsize=7, frameon=False)
    return figure


def run_dynamics(run: RunData) -> Figure | None:
    """One panel a quantity of the catalogue, a line a layer: the mean over modules and heads; None without any."""
    panels = []
    for kind in kinds([run]):
        rows = run.dynamics
        rows = rows[(rows["quantity"] == kind.quantity) & (rows["objective"] == "") & (rows["layer"] >= 0)]
        if kind.entry.on_card and not kind.objective and rows["step"].nunique() > 1:
            panels.append((kind, rows.groupby(["layer", "step"], as_index=False)["value"].mean()))
    if not panels:
        return None
    figure, grid = _panel_grid(len(panels))
    for axes, (kind, means) in zip(grid, panels, strict=True):
        colours = colormaps["viridis"].resampled(means["layer"].nunique() + 1)  # the last is too light on white
        for place, (layer, curve) in enumerate(means.groupby("layer")):
            axes.plot(curve["step"], curve["value"], label=f"layer {layer}", linewidth=1.4, color=colours(place))
        _finish_panel(axes, kind.title, kind.entry.unit)
    lines, names = grid[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", fontsize=7, frameon=False, ncols=6)
    return figure


def _panel_grid(count: int) -> tuple[Figure, Sequence[Axes]]:
    columns = min(2, count)
    rows = -(-count // columns)
    # Without pyplot, whose global state belongs to the process that trains.
    figure = Figure(figsize=(4.6 * columns, 3.1 * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(count)]


def _finish_panel(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set(xlabel="optimizer step", ylabel=unit)
    axes.grid(alpha=0.3)


def format_y(axes: Axes, chart: Chart) -> None:
    """Give the y axis the scale and the tick labels of a chart."""
    if chart.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if chart.percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def draw_chance(axes: Axes, runs: list[RunData]) -> None:
    """Draw a line at 1 / N of every run that logged episodes."""
    for level in {level for run in runs if (level := chance_level(run)) is not None}:
        axes.axhline(level, color=GREY, linewidth=0.9, linestyle=FINE, label="chance")
