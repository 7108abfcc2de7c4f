"""Figures of fine-tuning results: heat maps (appendix C.3) and differences by class (figure 3)."""

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
