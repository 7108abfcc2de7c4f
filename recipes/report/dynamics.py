"""Curves of the learning dynamics: one a quantity, objective, module and layer, averaged over heads and sources."""

from typing import NamedTuple

import pandas as pd

from ...trainers.runs.charts import QUANTITIES, Quantity
from ...trainers.runs.learning_dynamics import STANDARD_ERROR
from ...trainers.runs.reader import AXES, RunData

OBJECTIVES = {
    "next_token": "next-token gradient",
    "query": "query gradient",
    "sum": "gradient of both objectives",
}
# Module of the mean over all modules.
ALL_MODULES = "all modules"


class Kind(NamedTuple):
    """A quantity and the objective whose gradient it was measured of ("": weights, activations or text)."""

    quantity: str
    objective: str

    @property
    def entry(self) -> Quantity:
        """Its entry in the catalogue; a quantity that has none keeps its own name as title."""
        listed = [entry for entry in QUANTITIES if entry.name == self.quantity]
        return listed[0] if listed else Quantity(self.quantity, self.quantity.replace("_", " "))

    @property
    def title(self) -> str:
        """The quantity and what it was measured of."""
        if self.objective:
            return f"{self.entry.title} of the {OBJECTIVES.get(self.objective, self.objective)}"
        return f"{self.entry.title} of weights" if self.entry.of_matrices else self.entry.title


def kinds(runs: list[RunData]) -> list[Kind]:
    """Every quantity and objective that any run measured, in the order of the catalogue; without standard errors."""
    measured = {
        Kind(*pair)
        for run in runs
        for pair in zip(run.dynamics.quantity, run.dynamics.objective, strict=True)
        if not pair[0].endswith(STANDARD_ERROR)
    }
    order = {entry.name: i for i, entry in enumerate(QUANTITIES)}
    return sorted(measured, key=lambda kind: (order.get(kind.quantity, len(order)), kind))


def curves(run: RunData, kind: Kind) -> dict[tuple[str, int], pd.DataFrame]:
    """Curves by module (or source) and layer, with the columns of `AXES`, `value`, and `error` where it is known.

    `error` is the standard error of `value`.

    Layer -1 is the mean over layers, and module `ALL_MODULES` the mean over modules, where there are several.
    """
    # The page, tables, figures and phases all read the same curves.
    if kind not in run.dynamics_curves:
        own = _curves(run.dynamics, kind)
        errors = _curves(run.dynamics, Kind(kind.quantity + STANDARD_ERROR, kind.objective))
        for name in errors.keys() & own.keys():
            error = errors[name].rename(columns={"value": "error"})[["step", "error"]]
            own[name] = own[name].merge(error, on="step", how="left")
        run.dynamics_curves[kind] = own
    return run.dynamics_curves[kind]


def _curves(frame: pd.DataFrame, kind: Kind) -> dict[tuple[str, int], pd.DataFrame]:
    columns = [*AXES, "value"]
    rows = frame[(frame["quantity"] == kind.quantity) & (frame["objective"] == kind.objective)]
    rows = rows.dropna(subset=["value"]).assign(module=rows["module"].where(rows["module"] != "", rows["source"]))

    def mean(part: pd.DataFrame, *keys: str) -> pd.DataFrame:
        return part.groupby([*keys, "step"], as_index=False)[columns[1:]].mean()

    by_layer = mean(rows, "module", "layer")
    by_name = {
        (str(module), int(layer)): part[columns].sort_values("step")
        for (module, layer), part in by_layer.groupby(["module", "layer"])
    }
    for module, part in by_layer.groupby("module"):
        if part["layer"].nunique() > 1:
            by_name[str(module), -1] = mean(part)[columns]
    if by_layer["module"].nunique() > 1 and "" not in set(by_layer["module"]) and not rows["source"].any():
        by_name[ALL_MODULES, -1] = mean(by_layer)[columns]
    return by_name
