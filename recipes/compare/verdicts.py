"""The verdict on every test of a study: paired over seeds, corrected over its family."""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from ...trainers.statistics import compare_pairs, holm, verdict
from .study import Contrast, Study

CONFIDENCE = 0.95
NUMBERS = ("control_mean", "mean", "low", "high", "p", "sign_flip_p", "smallest_sign_flip_p")


def lower_is_better(measure: str) -> bool:
    """True of losses."""
    return measure.split("/")[0] == "loss"


def verdicts(study: Study, results: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """A row for each test, the primary ones first.

    The p values of the t test are adjusted over the primary tests, and apart from them over the exploratory ones
    (Holm 1979), so that any false "better" has a chance of at most 5 % in a table. Intervals are not adjusted.

    Columns: arm, control, measure, primary, seeds (number of pairs), control_mean, mean, low, high (treatment minus
    control), differences, p, p_adjusted, sign_flip_p, smallest_sign_flip_p, margin, verdict.
    """
    values = {(entry["arm"], entry["seed"]): entry["values"] for entry in results if entry["share"] == 1}
    rows = pd.DataFrame([_row(test, study, values) for test in study.tests()])
    for primary in (True, False):
        family = rows["primary"] == primary
        rows.loc[family, "p_adjusted"] = holm(rows.loc[family, "p"].tolist())
    rows["verdict"] = [_verdict(row) for _, row in rows.iterrows()]
    return rows.drop(columns="comparison")


def _row(test: Contrast, study: Study, values: dict[tuple[str, int], dict[str, float]]) -> dict[str, Any]:
    pairs = [
        (values[test.arm, seed][test.measure], values[test.control, seed][test.measure])
        for seed in study.args.seeds
        if all(test.measure in values.get((arm, seed), {}) for arm in (test.arm, test.control))
    ]
    row: dict[str, Any] = {
        **vars(test),
        "primary": test in study.primary,
        "seeds": len(pairs),
        "margin": study.margins[test.measure],
        "comparison": None,
        "differences": (),
    } | dict.fromkeys(NUMBERS, math.nan)
    if pairs:
        treatment, control = zip(*pairs, strict=True)
        found = compare_pairs(treatment, control, CONFIDENCE)
        row |= {
            "control_mean": sum(control) / len(control),
            "mean": found.mean,
            "low": found.low,
            "high": found.high,
            "differences": found.differences,
            "p": found.p,
            "sign_flip_p": found.sign_flip_p,
            "smallest_sign_flip_p": found.smallest_sign_flip_p,
            "comparison": found,
        }
    return row


def _verdict(row: pd.Series) -> str:
    if row["comparison"] is None:
        return "no pair of runs yet"
    return verdict(row["comparison"], row["p_adjusted"], row["margin"], lower_is_better(row["measure"]))
