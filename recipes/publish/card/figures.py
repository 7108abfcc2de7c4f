"""The figures of a model card: training curves, and how the representations changed."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .facts import curve_of

# Title, unit and metrics (with their labels) of each panel.
PANELS = (
    (
        "Next-token loss",
        "nats a token",
        (("next_token_loss", "training"), ("eval_next_token_loss", "held-out")),
    ),
    ("Held-out perplexity", "", (("eval_perplexity", "held-out"),)),
    (
        "Episodes: query accuracy",
        "share",
        (
            ("query_accuracy", "after the inner loop"),
            ("query_accuracy_before", "before"),
            ("prototype_accuracy", "prototypes, no head"),
        ),
    ),
    ("Episodes: query loss", "nats", (("query_loss", "training"),)),
)
# What of the learning dynamics is drawn, by quantity: title and unit.
DYNAMICS = {
    "effective_rank": ("Effective rank of the weights", "share of the full rank"),
    "attention_entropy_normalised": ("Attention entropy", "share of the maximum"),
    "activation_effective_rank": ("Effective rank of the activations", "share of the full rank"),
    "cka": ("CKA of the activations with the start", ""),
}


def draw_curves(metrics: list[dict[str, Any]], path: Path) -> bool:
    """Metrics over the steps, of which one panel a kind; False, and no file, where nothing was logged."""
    panels = []
    for title, unit, shown in PANELS:
        curves = {label: curve_of(metrics, name) for name, label in shown}
        curves = {label: curve for label, curve in curves.items() if len(curve[0]) > 1}
        if curves:
            panels.append((title, unit, curves))
    return draw(panels, path)


def draw_dynamics(table: pd.DataFrame, path: Path) -> bool:
    """The mean over modules and heads of each layer, over the steps; False, and no file, where nothing is known."""
    panels = []
    for quantity, (title, unit) in DYNAMICS.items():
        rows = table[(table.quantity == quantity) & (table.objective == "") & (table.layer >= 0)]
        means = rows.groupby(["layer", "step"]).value.mean()
        curves = {
            f"layer {layer}": (list(values.index.get_level_values("step")), list(values))
            for layer, values in means.groupby(level="layer")
        }
        if rows.step.nunique() > 1:
            panels.append((title, unit, curves))
    return draw(panels, path, one_legend=True)


def draw(
    panels: list[tuple[str, str, dict[str, tuple[list[int], list[float]]]]], path: Path, one_legend: bool = False
) -> bool:
    """Panels side by side, two in a row; with one legend for all, colours run from the first curve to the last."""
    if not panels:
        return False
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    # Without pyplot, whose global state belongs to whoever runs this process.
    figure = Figure(figsize=(4.6 * columns, 3.1 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (title, unit, curves) in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, number)
        colours = colormaps["viridis"].resampled(len(curves) + 1)  # without its last, too light on white
        for place, (label, (steps, values)) in enumerate(curves.items()):
            axes.plot(steps, values, label=label, linewidth=1.4, color=colours(place) if one_legend else f"C{place}")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("optimizer step")
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
        if len(curves) > 1 and not one_legend:
            axes.legend(fontsize=7, frameon=False)
    if one_legend:
        lines, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(lines, labels, loc="outside lower center", fontsize=7, frameon=False, ncols=6)
    path.parent.mkdir(parents=True, exist_ok=True)
    # No version and no date: the same run draws the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return True
