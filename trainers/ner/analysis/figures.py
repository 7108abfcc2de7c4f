"""Figures of fine-tuning results: heat maps (appendix C.3), differences by class (figure 3), few-shot curves."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure


def heat_map(table: pd.DataFrame, title: str) -> Figure:
    """Heat map of F1 by training treebank (rows) and test set (columns), with numbers; see `tables.cross_f1`."""
    rows, columns = table.shape
    figure = Figure(figsize=(2.2 + 0.62 * columns, 1.9 + 0.42 * rows), layout="constrained")
    axes = figure.subplots()
    # A fixed scale, so that heat maps can be compared.
    image = axes.imshow(table, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    axes.set_xticks(range(columns), table.columns, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(rows), table.index)
    axes.set(xlabel="test set", ylabel="fine-tuned on", title=title)
    for (i, j), f1 in np.ndenumerate(table.to_numpy()):
        if not np.isnan(f1):
            axes.text(j, i, f"{f1:.2f}", ha="center", va="center", fontsize=8, color="white" if f1 < 0.6 else "black")
    figure.colorbar(image, label="micro-F1")
    return figure


def class_bars(table: pd.DataFrame, title: str) -> Figure:
    """Bar chart of F1 differences by class (colour) and size (group), a panel a mode; see `class_difference`."""
    modes = list(table.index.get_level_values("mode").unique())
    figure = Figure(figsize=(4.2 * len(modes) + 0.6, 3.4), layout="constrained")
    panels = figure.subplots(1, len(modes), sharey=True, squeeze=False)[0]
    for axes, mode in zip(panels, modes, strict=True):
        part = table.xs(mode, level="mode")
        width = 0.8 / len(part.columns)
        for k, label in enumerate(part.columns):
            axes.bar(np.arange(len(part)) + (k - (len(part.columns) - 1) / 2) * width, part[label], width, label=label)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xticks(range(len(part)), part.index)
        axes.set(title=f"{mode} fine-tuning", xlabel="model")
    panels[0].set_ylabel("difference in F1")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    figure.suptitle(title)
    return figure


def few_shot_curves(table: pd.DataFrame, colours: Sequence[str]) -> Figure:
    """F1 over K, a panel a method and test set, a line a label; bars are intervals over draws, bands over seeds.

    Columns of the table: label, method, treebank, test, shots, f1, draws_low, draws_high, and low and high, the
    interval over pretraining seeds, NaN with one.
    """
    panels = list(table.groupby(["method", "treebank", "test"], sort=False))
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(7.2, 2.4 * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, 2, sharey=True, squeeze=False)
    labels = list(dict.fromkeys(table["label"]))
    for axes, ((method, treebank, test), part) in zip(grid.flat, panels, strict=False):
        for label, curve in part.groupby("label", sort=False):
            curve, colour = curve.sort_values("shots"), colours[labels.index(label) % len(colours)]
            bars = np.array([curve["f1"] - curve["draws_low"], curve["draws_high"] - curve["f1"]])
            axes.errorbar(curve["shots"], curve["f1"], bars, fmt=".-", color=colour, linewidth=1.2, label=label)
            axes.fill_between(curve["shots"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
        axes.set_xscale("log")
        axes.set_xticks(sorted(set(part["shots"])), sorted(set(part["shots"])))
        axes.minorticks_off()
        axes.set_title(f"{method}, {treebank}" + ("" if test == "test" else f" on {test}"), loc="left", fontsize=9)
        axes.set_xlabel("mentions of each class", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    grid[0, 0].set_ylabel("micro-F1", fontsize=8)
    grid[0, 0].legend(fontsize=7, frameon=False)
    return figure
