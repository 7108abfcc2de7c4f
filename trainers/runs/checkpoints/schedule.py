"""Checkpoints that are kept: at listed steps, at powers of two, and where a budget of tokens or words is reached."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from ...errors import InputError

POWERS = "powers"
BABYLM = "babylm"
UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}
# Every 1M words up to 10M, every 10M up to 100M, every 100M up to 1B (BabyLM challenge 2025, checkpoints to submit).
BABYLM_WORDS = [count * 10**power for power in (6, 7, 8) for count in range(1, 10)] + [10**9]


class TextRead(NamedTuple):
    """What a run has read of its corpus."""

    tokens: int
    words: int


class SaveSchedule:
    """When a checkpoint is kept.

    Args:
        entries: a step (`500`; 0 is the untrained model), `powers` (steps 1, 2, 4, ...), a budget (`2Mtokens`,
            `500Kwords`), or `babylm` (budgets of words up to a billion).

    Raises:
        InputError: an entry is none of these.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self.steps: set[int] = set()
        self.powers = POWERS in entries
        self.tokens: set[int] = set()
        self.words: set[int] = set(BABYLM_WORDS) if BABYLM in entries else set()
        for entry in entries:
            budget = re.fullmatch(r"(\d+(?:\.\d+)?)([KMB]?)(tokens|words)", entry)
            if entry.isdecimal():
                self.steps.add(int(entry))
            elif budget is not None and float(budget[1]) > 0:
                budgets = self.tokens if budget[3] == "tokens" else self.words
                budgets.add(round(float(budget[1]) * UNITS[budget[2]]))
            elif entry not in (POWERS, BABYLM):
                raise InputError(
                    f"save_schedule: {entry!r} is no step (500), {POWERS}, budget (2Mtokens, 500Kwords) or {BABYLM}"
                )

    def reasons(self, step: int, before: TextRead, now: TextRead) -> list[str]:
        """Why the checkpoint after `step` is kept, given the text that was read before this step and with it."""
        reasons = [f"step {step}"] if step in self.steps else []
        if self.powers and step > 0 and step & (step - 1) == 0:
            reasons.append("a power of two")
        for unit, budgets, old, new in zip(TextRead._fields, (self.tokens, self.words), before, now, strict=True):
            reasons += [f"{budget:,} {unit}" for budget in sorted(budgets) if old < budget <= new]
        return reasons
