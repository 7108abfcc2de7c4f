"""Cost of a token and of an episode against the model's width, the block size and the number of ways."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ...trainers.cost import cost_of

GRID: dict[str, list[int]] = {
    "d_model": [96, 192, 384, 768, 1536],
    "block_size": [256, 512, 1024, 2048, 4096, 8192],
    "n_way": [8, 16, 32, 64, 128],
}
LINES = {"token": ("a token", "o"), "micro_batch": ("a next-token micro-batch", "s"), "episode": ("an episode", "^")}
TITLES = {"d_model": "width of the model", "block_size": "tokens of a block", "n_way": "ways of an episode"}


def growth(arguments: dict[str, Any]) -> pd.DataFrame:
    """FLOPs of a token, a micro-batch on one process and an episode around a recipe, one argument varied at a time."""
    rows = []
    for name, values in GRID.items():
        for value in values:
            changed = arguments | {name: value}
            if name == "d_model":
                changed["activation_hidden_dim"] = 4 * value
            changed["max_seq_len"] = max(changed["block_size"], 2048)
            cost = cost_of(changed)
            assert cost is not None  # every value of the grid makes a model
            micro_batch = cost.token * changed["per_device_train_batch_size"] * changed["block_size"]
            rows.append((name, value, cost.token, micro_batch, cost.episode))
    return pd.DataFrame(rows, columns=["argument", "value", *LINES])


def plot_growth(grown: pd.DataFrame, path: Path, rate: float | None) -> None:
    """Plot a panel for each argument: in seconds at `rate` operations a second, or in operations without one."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    unit = "operations" if rate is None else "seconds at the measured rate"
    panels = figure.subplots(1, len(GRID), sharey=True)
    for axes, (name, part) in zip(panels, grown.groupby("argument", sort=False), strict=True):
        for column, (label, marker) in LINES.items():
            axes.plot(part["value"], part[column] / (rate or 1), marker=marker, label=label)
        axes.set(xscale="log", yscale="log", xlabel=TITLES[str(name)])
        axes.set_xticks(list(part["value"]), [str(value) for value in part["value"]])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel(unit)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=150)
