"""The differences between two ways of pretraining in every cell of a sweep, as a table and in sentences."""

from typing import Any

import numpy as np
import pandas as pd

from ...statistics import holm
from .significance import compare_arms

LEVEL = 0.05
TOO_FEW = "not enough runs to say"
UNDECIDED = "no difference shown"
# Cells that a sentence names one by one.
NAMED = 8


def differences(results: list[dict[str, Any]], baseline: str, treatment: str, samples: int = 1000) -> pd.DataFrame:
    """A row for each size, mode, training treebank and test set that both ways of pretraining have.

    Runs are paired by pretraining seed, and within a run both arms have the same fine-tuning seeds (see
    `compare_arms`). `p_holm` is `p` corrected over all rows (Holm 1979); `conclusion` goes by it.
    """
    cells: dict[tuple, dict[tuple, np.ndarray]] = {}
    for result in results:
        for test, counts in result["counts"].items():
            cell = (result["size"], result["mode"], result["train_on"], test)
            run = (result["pretraining"], result["pretraining_seed"], result["seed"])
            cells.setdefault(cell, {})[run] = np.array(counts)
    rows = []
    for cell, counted in cells.items():
        both: dict[int, list[int]] = {}  # fine-tuning seeds by pretraining seed
        for pretraining, run, seed in counted:
            if pretraining == baseline and (treatment, run, seed) in counted:
                both.setdefault(run, []).append(seed)
        if both:
            first, second = (
                [np.stack([counted[arm, run, seed] for seed in seeds]) for run, seeds in both.items()]
                for arm in (baseline, treatment)
            )
            named = dict(zip(("size", "mode", "train_on", "test"), cell, strict=True))
            seeds = sum(map(len, both.values()))
            rows.append({**named, "seeds": seeds, **compare_arms(first, second, samples)._asdict()})
    table = pd.DataFrame(rows)
    if rows:
        table["p_holm"] = holm(table["p"].tolist())
        table["conclusion"] = [_conclusion(row, baseline, treatment) for row in table.to_dict("records")]
    return table


def _conclusion(row: dict[str, Any], baseline: str, treatment: str) -> str:
    if row["runs"] == 1:
        return TOO_FEW
    if row["p_holm"] >= LEVEL:
        return UNDECIDED
    return f"{treatment if row['difference'] > 0 else baseline} is higher"


def difference_statements(table: pd.DataFrame, baseline: str, treatment: str) -> list[str]:
    """What the table of differences shows, with test, number of runs and intervals."""
    if not len(table):
        return []
    single, several = table[table["runs"] == 1], table[table["runs"] > 1]
    statements = []
    if len(several):
        counts = several["runs"]
        runs = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
        decided = several[several["conclusion"] != UNDECIDED]
        higher = (decided["difference"] > 0).sum()
        statements.append(
            f"F1 of {treatment} minus {baseline}, {runs} pretraining runs an arm, t test on differences paired by "
            f"pretraining seed and crossed with test sentences, Holm's correction over {len(several)} comparisons: "
            f"{treatment} is higher in {higher}, {baseline} in {len(decided) - higher}; {UNDECIDED} in "
            f"{len(several) - len(decided)}."
        )
        statements += [
            f"{row.size}, {row.mode}, {row.train_on} on {row.test}: {row.conclusion}, {row.difference:+.3f} "
            f"[{row.low:+.3f}, {row.high:+.3f}], p = {row.p_holm:.2g} after correction, {row.runs} runs an arm."
            for row in decided.sort_values("p_holm").head(NAMED).itertuples()
        ]
    if len(single):
        statements.append(
            f"{treatment} and {baseline} have one pretraining run an arm in {len(single)} comparisons, which compare "
            f"two checkpoints, never two methods: {TOO_FEW} which method is better. The intervals over sentences are "
            "of the difference between these two checkpoints."
        )
    return statements
