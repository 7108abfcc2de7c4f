"""The verdict on every test of a study: paired over seeds, corrected over its family."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ....trainers.ner.analysis.significance import cross
from ....trainers.statistics import Comparison, compare_pairs, holm, verdict
from ..study import Contrast, Study

# (J, S, 3) entities by measure (see `entity_counts`), of each arm and seed.
Counts = Mapping[tuple[str, int], Mapping[str, np.ndarray]]
NUMBERS = ("control_mean", "mean", "low", "high", "p", "sign_flip_p", "smallest_sign_flip_p")


def lower_is_better(measure: str) -> bool:
    """True of losses."""
    return measure.split("/")[0] == "loss"


def verdicts(study: Study, results: Iterable[dict[str, Any]], counts: Counts | None = None) -> pd.DataFrame:
    """A row for each test, the primary ones first.

    The p values of the t test are adjusted over the primary tests, and apart from them over the exploratory ones
    (Holm 1979), so that any false "better" has a chance of at most 5 % in a table. Intervals are not adjusted.

    Measures of NER, which have `counts`, are tested over seeds crossed with test sentences.

    Columns: arm, control, measure, primary, seeds (number of pairs), sentences (0: none), control_mean, mean, low,
    high (treatment minus control), differences, p, p_adjusted, sign_flip_p, smallest_sign_flip_p, margin, verdict.
    """
    values = {(entry["arm"], entry["seed"]): entry["values"] for entry in results if entry["share"] == 1}
    rows = pd.DataFrame([_row(test, study, values, counts or {}) for test in study.tests()])
    for primary in (True, False):
        family = rows["primary"] == primary
        rows.loc[family, "p_adjusted"] = holm(rows.loc[family, "p"].tolist())
        rows.loc[family, "tests"] = family.sum()
    rows["verdict"] = [_verdict(row) for _, row in rows.iterrows()]
    return rows.drop(columns=["comparison", "tests"])


def _row(
    test: Contrast, study: Study, values: dict[tuple[str, int], dict[str, float]], counts: Counts
) -> dict[str, Any]:
    both = (test.arm, test.control)
    seeds = [seed for seed in study.args.seeds if all(test.measure in values.get((arm, seed), {}) for arm in both)]
    row: dict[str, Any] = (
        {
            **vars(test),
            "primary": test in study.primary,
            "seeds": len(seeds),
            "margin": study.margins[test.measure],
            "comparison": None,
            "differences": (),
        }
        | dict.fromkeys(NUMBERS, math.nan)
        | {"sentences": 0}
    )
    if seeds:
        control = [values[test.control, seed][test.measure] for seed in seeds]
        found, sentences = _compare(test, seeds, values, counts)
        row |= {
            "sentences": sentences,
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


def _compare(
    test: Contrast, seeds: list[int], values: dict[tuple[str, int], dict[str, float]], counts: Counts
) -> tuple[Comparison, int]:
    """The comparison over these seeds, and the number of test sentences that they are crossed with."""
    both = (test.arm, test.control)
    if all(test.measure in counts.get((arm, seed), {}) for arm in both for seed in seeds):
        treatment, control = ([counts[arm, seed][test.measure] for seed in seeds] for arm in both)
        return cross(control, treatment), treatment[0].shape[1]
    values_of_arm, control_values = ([values[arm, seed][test.measure] for seed in seeds] for arm in both)
    return compare_pairs(values_of_arm, control_values), 0


def _verdict(row: pd.Series) -> str:
    if row["comparison"] is None:
        return "no pair of runs yet"
    lower = lower_is_better(row["measure"])
    return verdict(row["comparison"], row["p_adjusted"], row["margin"], lower, int(row["tests"]))
