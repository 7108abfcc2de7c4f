"""What the report states about phases: which were found, what explains them, and how often they are false."""

from ....callbacks.phases.departure_test import ALPHA
from ....callbacks.phases.false_alarms import SMOOTH, FalseAlarms
from ....trainers.runs.charts import RANKED
from ....trainers.runs.reader import RunData
from ..formats import interval, join, plural
from .phases import AnalysedCurve
from .tables import Relations

# So many curves are named in a sentence; the others are in the table.
NAMED = 5


def phase_statements(
    runs: list[RunData], analysed: list[AnalysedCurve], alarms: FalseAlarms | None, related: Relations
) -> list[str]:
    """Phases of each run, what explains them, the rate of false alarms, and what knees tell across runs."""
    sentences = []
    for run in runs:
        own = [curve for curve in analysed if curve.run == run.label]
        sentences.append(found_statement(run.label, own))
        if any(curve.phases.change_points for curve in own):
            sentences.append(origin_statement(run.label, [curve for curve in own if curve.phases.change_points]))
    if alarms:
        sentences.append(
            f"False alarms, measured for this report on {alarms.curves} curves of {alarms.points} points that have no "
            f"phase ({join(list(SMOOTH))}) in noise of autocorrelation {alarms.autocorrelation:.2f}: a phase that the "
            f"learning rate does not explain in {alarms.found}, before the false discovery rate is controlled."
        )
    if related:
        enough = sum(relation.correlation is not None for relation in related.values())
        outcome = f"{enough} of {len(related)} pairs have enough runs, see the table"
        outcome = outcome if enough else "too few runs to say"
        sentences.append(f"Relation of knees to query accuracy and F1 across {plural(len(runs), 'run')}: {outcome}.")
    return sentences


def found_statement(label: str, own: list[AnalysedCurve]) -> str:
    """Which of a run's curves have a phase; those of the whole model are named first."""
    analysed = [curve for curve in own if not curve.phases.note]
    note = f" {len(own) - len(analysed)} more had too few points or were constant." if len(own) > len(analysed) else ""
    if not analysed:
        return f"{label}: no curve could be analysed (1 run).{note}"
    phased = sorted((curve for curve in analysed if curve.phases.change_points), key=lambda curve: not curve.of_model)
    if not phased:
        return f"{label}: no phase found in {plural(len(analysed), 'curve')} (1 run).{note}"
    ranked = [bool(curve.phases.change_points) for curve in analysed if curve.kind.quantity == RANKED]
    ranks = f" ({sum(ranked)} of {len(ranked)} of effective rank)" if ranked else ""
    places = [f"{curve.name}: {places_of(curve)}" for curve in phased[:NAMED]]
    more = [f"and {len(phased) - NAMED} more"] if len(phased) > NAMED else []
    return (
        f"{label}: a phase in {len(phased)} of {plural(len(analysed), 'curve')}{ranks}, of which {ALPHA:.0%} may be "
        f"false (1 run). {'; '.join(places + more)}.{note}"
    )


def places_of(curve: AnalysedCurve) -> str:
    """The kinds and places of a curve's phases."""
    return join([f"{point.kind} at step {interval(point.at)}" for point in curve.phases.change_points])


def origin_statement(label: str, phased: list[AnalysedCurve]) -> str:
    """How many curves have a phase beyond the learning rate, and how many of these vanilla training does not have."""
    beyond = [curve for curve in phased if beyond_rate(curve)]
    unknown = sum(curve.phases.change_points[0].rate_p_value is None for curve in phased)
    if unknown:
        rate = f"The learning rate of {label} was not logged: it may explain the phases."
    else:
        rate = (
            f"{label}: the learning rate explains the phases of {len(phased) - len(beyond)} of {len(phased)} curves."
        )
    candidates = phased if unknown else beyond
    compared = [curve for curve in candidates if curve.vanilla]
    if not compared:
        return f"{rate} No vanilla run with the same curves is at hand, so that no phase can be called the method's."
    own = [curve.name for curve in compared if curve.vanilla == "none"]
    named = ": " + "; ".join(own[:NAMED] + ([f"and {len(own) - NAMED} more"] if len(own) > NAMED else []))
    return (
        f"{rate} Of {plural(len(compared), 'other curve')} with a phase, {len(own)} have none in the vanilla run, and "
        f"only these may be the method's{named if own else ''}. One run of each cannot tell a method from a seed."
    )


def beyond_rate(curve: AnalysedCurve) -> bool:
    """True when a curve has a phase that the learning rate is known not to explain."""
    p_values = [point.rate_p_value for point in curve.phases.change_points]
    return any(p is not None and p <= ALPHA for p in p_values)
