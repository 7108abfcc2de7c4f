"""The plan of a study: costs and steps of its arms, measured once and then fixed in its folder."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...trainers.runs.json_files import read_json, write_json
from .budget import StepCost, fit, measure
from .follow_up_cost import FollowUpCost
from .study import Study

PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class Plan:
    """What a study takes."""

    costs: dict[str, StepCost]  #: of a step, by arm
    steps: dict[str, dict[float, int]]  #: average steps by arm and share of the budget
    follow_up: FollowUpCost  #: of a run, after pretraining
    added: dict[str, list[int]] = field(default_factory=dict)  #: seeds added after a run had finished, by date

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        """The plan in a study's folder; one of an earlier version does not know what follows pretraining."""
        saved: dict[str, Any] = read_json(folder / PLAN_FILE)
        costs = {name: StepCost(**cost) for name, cost in saved["costs"].items()}
        steps = {arm: {float(share): n for share, n in shares.items()} for arm, shares in saved["steps"].items()}
        return cls(costs, steps, FollowUpCost(**saved.get("follow_up", {})), saved.get("added", {}))

    @classmethod
    def make(cls, study: Study, beside: Path) -> "Plan":
        """Measure the plan of a study in a temporary folder `beside` the study's.

        Raises:
            InputError: an arm cannot be trained or evaluated, or cannot fit its budget.
        """
        costs, follow_up = measure(study, beside)
        return cls(costs, fit(study, costs), follow_up)

    def with_seeds(self, seeds: list[int], before: list[int], today: str) -> "Plan":
        """The plan that knows which of its seeds were not there `before`."""
        new = [seed for seed in seeds if seed not in before]
        return replace(self, added=self.added | {today: [*self.added.get(today, []), *new]}) if new else self

    def write(self, folder: Path) -> None:
        """Write the plan to a folder."""
        write_json(folder / PLAN_FILE, asdict(self))
