"""Figures of a study, drawn for a page that is read on a screen and on paper."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from scipy import stats

from ....trainers.runs.reader import AXES, RunData
from ...report.palette import LIGHT
from ..results.verdicts import lower_is_better

GRID = 60


def forest(table: pd.DataFrame) -> list[Figure]:
    """Improvement over the control in each test: every seed a dot, the mean with its 95 % interval, the margin shaded.

    A figure a measure, so that a page can break between them; to the right is always better.
    """
    shown = table[table["seeds"] > 0]
    return [_measure(measure, rows) for measure, rows in shown.groupby("measure", sort=False)]


def _measure(measure: str, rows: pd.DataFrame) -> Figure:
    figure, axes = plt.subplots(figsize=(7.2, 0.8 + 0.3 * len(rows)))
    sign = -1 if lower_is_better(measure) else 1
    margin = rows["margin"].iloc[0]
    axes.axvspan(-margin, margin, color="#eeeeee", zorder=0)
    axes.axvline(0, color="#777777", linewidth=0.8, zorder=1)
    for i, (_, row) in enumerate(rows.iterrows()):
        colour = LIGHT[0] if row["primary"] else "#777777"
        low, high = sorted((sign * row["low"], sign * row["high"]))
        axes.plot(sign * np.array(row["differences"]), [i] * row["seeds"], ".", color=colour, alpha=0.5, zorder=2)
        axes.plot([low, high], [i, i], color=colour, linewidth=1.6, zorder=3)
        axes.plot(sign * row["mean"], i, "D", color=colour, markersize=5, zorder=4)
    axes.set_yticks(range(len(rows)), [f"{row['arm']} vs {row['control']}" for _, row in rows.iterrows()], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    unit = "lower loss, nats a token" if lower_is_better(measure) else "higher share"
    axes.set_title(f"{measure}: better to the right ({unit})", loc="left", fontsize=9)
    _plain(axes)
    figure.tight_layout()
    return figure


def loss_curves(runs: dict[str, list[RunData]]) -> Figure | None:
    """Held-out loss of each arm over every axis of compute: the mean over seeds with its range; None without logs."""
    axes_names = [axis for axis in AXES if any(_finite(run, axis) for arm in runs.values() for run in arm)]
    if not axes_names:
        return None
    figure, grid = plt.subplots(
        -(-len(axes_names) // 2), 2, figsize=(7.2, 2.4 * -(-len(axes_names) // 2)), squeeze=False
    )
    for axes, axis in zip(grid.flat, axes_names, strict=False):
        for i, (arm, members) in enumerate(runs.items()):
            _band(axes, [run.curve("eval_next_token_loss") for run in members], axis, LIGHT[i % len(LIGHT)], arm)
        axes.set_xlabel(AXES[axis], fontsize=8)
        axes.xaxis.set_major_formatter(EngFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _plain(axes)
    for axes in grid.flat[len(axes_names) :]:
        axes.set_visible(False)
    grid[0, 0].legend(fontsize=7, frameon=False)
    grid[0, 0].set_ylabel("held-out loss", fontsize=8)
    figure.tight_layout()
    return figure


def objectives(runs: dict[str, list[RunData]]) -> Figure | None:
    """Norm of the gradient of each objective, and their cosine, over steps, a line a seed; None where not measured."""
    panels = [("gradient_norm", "next_token"), ("gradient_norm", "query"), ("gradient_cosine", "")]
    figure, grid = plt.subplots(1, len(panels), figsize=(7.2, 2.2))
    for axes, (quantity, objective) in zip(grid, panels, strict=True):
        for i, (arm, members) in enumerate(runs.items()):
            for run in members:
                rows = run.dynamics.query("quantity == @quantity and objective == @objective").sort_values("step")
                axes.plot(
                    rows["step"], rows["value"], color=LIGHT[i % len(LIGHT)], alpha=0.6, linewidth=0.9, label=arm
                )
        axes.set_title(f"{quantity.replace('_', ' ')} {objective.replace('_', '-')}".strip(), loc="left", fontsize=8)
        axes.set_xlabel("steps", fontsize=8)
        _plain(axes)
    if not any(len(line.get_xdata()) for axes in grid for line in axes.lines):
        plt.close(figure)
        return None
    named = dict(zip(*reversed(grid[0].get_legend_handles_labels()), strict=True))
    grid[0].legend(named.values(), named.keys(), fontsize=7, frameon=False)
    figure.tight_layout()
    return figure


def budgets(points: dict[str, list[list[tuple[float, float]]]], unit: str) -> Figure:
    """Final loss against compute: a line a seed through the runs of its budgets, each arm's mean with a 95 % band."""
    figure, axes = plt.subplots(figsize=(7.2, 3.2))
    for i, (arm, seeds) in enumerate(points.items()):
        colour = LIGHT[i % len(LIGHT)]
        for seed in seeds:
            axes.plot(*zip(*seed, strict=True), ".-", color=colour, alpha=0.3, linewidth=0.8)
        compute, losses = np.moveaxis(np.array(seeds), -1, 0)
        _plot_mean(axes, compute.mean(0), losses, colour, arm, "o-")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(EngFormatter())
    axes.tick_params(axis="x", which="minor", labelsize=8)
    axes.set_xlabel(f"{unit} of a finished run", fontsize=8)
    axes.set_ylabel("final held-out loss", fontsize=8)
    axes.legend(fontsize=7, frameon=False)
    _plain(axes)
    figure.tight_layout()
    return figure


def values(results: Sequence[dict[str, Any]], arms: Sequence[str], measures: Sequence[str]) -> Figure:
    """Every measure of every run, a dot a seed, with the mean of each arm."""
    rows = -(-len(measures) // 2)
    figure, grid = plt.subplots(rows, 2, figsize=(7.2, (0.7 + 0.25 * len(arms)) * rows), squeeze=False)
    for axes, measure in zip(grid.flat, measures, strict=False):
        for i, arm in enumerate(arms):
            found = [r["values"][measure] for r in results if r["arm"] == arm and measure in r["values"]]
            axes.plot(found, [i] * len(found), ".", color=LIGHT[i % len(LIGHT)], alpha=0.6)
            if found:
                axes.plot(np.mean(found), i, "|", color=LIGHT[i % len(LIGHT)], markersize=14)
        axes.set_yticks(range(len(arms)), arms, fontsize=7)
        axes.set_ylim(len(arms) - 0.5, -0.5)
        axes.set_title(measure, loc="left", fontsize=8)
        _plain(axes)
    for axes in grid.flat[len(measures) :]:
        axes.set_visible(False)
    figure.tight_layout()
    return figure


def _band(axes: Axes, curves: list[pd.DataFrame], axis: str, colour: str, label: str) -> None:
    """The mean of curves over the range that all of them cover, with the 95 % t interval over seeds."""
    curves = [curve.dropna(subset=[axis]) for curve in curves]
    curves = [curve for curve in curves if len(curve) > 1]
    if not curves:
        return
    low, high = max(curve[axis].iloc[0] for curve in curves), min(curve[axis].iloc[-1] for curve in curves)
    x = np.linspace(low, high, GRID)
    y = np.array([np.interp(x, curve[axis], curve["value"]) for curve in curves])
    _plot_mean(axes, x, y, colour, label, "-")


def _plot_mean(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, label: str, style: str) -> None:
    """Plot the mean of (seeds, points) values with the 95 % t interval over seeds."""
    axes.plot(x, y.mean(0), style, color=colour, label=label, linewidth=1.3)
    if len(y) > 1:
        half = stats.t.ppf(0.975, len(y) - 1) * y.std(0, ddof=1) / np.sqrt(len(y))
        axes.fill_between(x, y.mean(0) - half, y.mean(0) + half, color=colour, alpha=0.15, linewidth=0)


def _finite(run: RunData, axis: str) -> bool:
    return axis in run.metrics and bool((run.metrics[axis] > 0).any())


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
