"""The curves of the learning dynamics: one a quantity, objective, module and layer, heads and sources averaged."""

from typing import NamedTuple

import pandas as pd

from ...trainers.runs.reader import AXES, RunData

# How quantities are called; others keep their own name.
NAMES = {
    "proportional_effective_rank": "Proportional effective rank",
    "effective_rank": "Effective rank",
    "activation_proportional_effective_rank": "Proportional effective rank of activations",
    "activation_effective_rank": "Effective rank of activations",
    "attention_entropy_normalised": "Attention entropy, normalised",
    "attention_entropy": "Attention entropy (nats)",
    "cka": "Linear CKA with an earlier checkpoint",
    "perplexity": "Perplexity by source",
    "bits_per_byte": "Bits per byte by source",
}
OBJECTIVES = {
    "next_token": "next-token gradient",
    "query": "query gradient",
    "sum": "gradient of both objectives",
}
# Of weights, or of gradients where an objective is named.
OF_MATRICES = ("proportional_effective_rank", "effective_rank")
# Those whose phases are analysed, layer by layer; the first is also ranked by layer.
RANKED = "proportional_effective_rank"
WITH_PHASES = (RANKED, "activation_proportional_effective_rank", "attention_entropy", "cka")


ALL_MODULES = "all modules"


class Kind(NamedTuple):
    """What a family of curves measures."""

    quantity: str
    objective: str

    @property
    def title(self) -> str:
        """For people."""
        name = NAMES.get(self.quantity, self.quantity.replace("_", " "))
        if self.objective:
            return f"{name} of the {OBJECTIVES.get(self.objective, self.objective)}"
        return f"{name} of weights" if self.quantity in OF_MATRICES else name


def kinds(frames: list[pd.DataFrame]) -> list[Kind]:
    """Every quantity and objective that any run measured; known ones first."""
    found = {Kind(*pair) for frame in frames for pair in zip(frame["quantity"], frame["objective"], strict=True)}
    order = list(NAMES)
    return sorted(found, key=lambda kind: (order.index(kind.quantity) if kind.quantity in order else len(order), kind))


def curves(run: RunData, kind: Kind) -> dict[tuple[str, int], pd.DataFrame]:
    """Curves by module (or source) and layer, with the columns of `AXES` and `value`.

    Layer -1 is the mean over layers, and module `ALL_MODULES` the mean over modules, where there are several.
    """
    # Page, tables, figures and phases all ask for the same curves.
    if kind not in run.dynamics_curves:
        run.dynamics_curves[kind] = _curves(run.dynamics, kind)
    return run.dynamics_curves[kind]


def _curves(frame: pd.DataFrame, kind: Kind) -> dict[tuple[str, int], pd.DataFrame]:
    rows = frame[(frame["quantity"] == kind.quantity) & (frame["objective"] == kind.objective)]
    rows = rows.dropna(subset=["value"]).assign(module=rows["module"].where(rows["module"] != "", rows["source"]))
    by_layer = rows.groupby(["module", "layer", "step"], as_index=False)[["value", *list(AXES)[1:]]].mean()
    found = {
        (str(module), int(layer)): part[[*AXES, "value"]].sort_values("step")
        for (module, layer), part in by_layer.groupby(["module", "layer"])
    }
    for module, part in by_layer.groupby("module"):
        if part["layer"].nunique() > 1:
            mean = part.groupby("step", as_index=False)[["value", *list(AXES)[1:]]].mean()
            found[str(module), -1] = mean[[*AXES, "value"]]
    if by_layer["module"].nunique() > 1 and "" not in set(by_layer["module"]) and not rows["source"].any():
        mean = by_layer.groupby("step", as_index=False)[["value", *list(AXES)[1:]]].mean()
        found[ALL_MODULES, -1] = mean[[*AXES, "value"]]
    return found
