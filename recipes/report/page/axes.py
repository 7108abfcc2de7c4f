"""The axes that the page's charts are drawn over: their names, and which runs lack one."""

from ....trainers.runs.reader import AXES, RunData
from ..formats import join


def axis_names(runs: list[RunData]) -> dict[str, str]:
    """The names of the axes, that of compute seconds with the units of these runs."""
    units = " or ".join(sorted({run.compute_unit for run in runs} - {""}))
    return AXES | ({"compute_seconds": f"{units} seconds of training"} if units else {})


def offered_axes(runs: list[RunData]) -> list[tuple[str, str]]:
    """Steps, and the axes that any run has values on beyond its start."""
    names = axis_names(runs).items()
    return [(axis, name) for axis, name in names if axis == "step" or any(has_axis(run, axis) for run in runs)]


def has_axis(run: RunData, axis: str) -> bool:
    """True when a run has values on an axis beyond its start."""
    return bool((run.metrics[axis] > 0).any())


def axes_note(runs: list[RunData]) -> str:
    """Which runs lack which axes, and what not to compare; empty when there is nothing to say."""
    trained = [run for run in runs if run.steps > 0]
    lacking = {axis: [run.label for run in trained if not has_axis(run, axis)] for axis in AXES}
    notes = [
        f"{join(labels)} {'has' if len(labels) == 1 else 'have'} no curves over {axis_names(runs)[axis]}"
        for axis, labels in lacking.items()
        if labels
    ]
    if len({run.compute_unit for run in runs} - {""}) > 1:
        notes.append("CPU seconds of one run and GPU seconds of another do not compare")
    return "; ".join(notes)
