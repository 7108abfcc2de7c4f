"""Arguments of a comparison: those of a study file, and how it is run."""

import json
from dataclasses import dataclass
from typing import Any

from transformers.hf_argparser import HfArg

from ...trainers import InputError
from ...trainers.checks import check_at_least, check_choice
from ..arguments.launcher import LauncherArguments

BUDGETS = ("flops", "tokens", "next_token_tokens", "seconds")
MAPPINGS = ("arguments", "arms", "measures", "adaptation", "ner", "few_shot")


@dataclass(kw_only=True)
class CompareArguments(LauncherArguments):
    """A study: arms that are pretrained with several seeds at equal compute, and what is measured of them."""

    output_dir: str = HfArg(help="Folder of the study: runs, results and the page. The same folder goes on.")
    question: str = HfArg(help="What the study asks, for the page.")
    base: list[str] = HfArg(help="Recipes of pretraining that all arms share, as --config of pretrain takes them.")
    arms: dict | str | None = HfArg(
        help="Arms by name, each with `recipes` and `arguments` on top of the base, and `control`: the arm or arms "
        "that it is compared with. Exactly one arm has no control; its steps set the budget."
    )
    measures: dict | str | None = HfArg(
        help="Margin of each measure, the smallest difference that matters: loss, loss/SOURCE, prototypes, "
        "fresh_head, ner/MODE/TREEBANK[/TEST] and few_shot/METHOD/K/TREEBANK[/TEST]."
    )
    arguments: dict | str | None = HfArg(default_factory=dict, help="Arguments of pretraining on top, for all arms.")
    primary: list[str] = HfArg(
        default_factory=list, help="At most six tests, as 'ARM vs CONTROL: MEASURE'. All others are exploratory."
    )
    seeds: list[int] = HfArg(default_factory=lambda: [1, 2, 3], help="Seeds of pretraining.")
    budget: str = HfArg(
        default="flops", help=f"What is equal: {', '.join(BUDGETS)} (CPU or GPU, with sampling). The control sets it."
    )
    budgets: list[float] = HfArg(
        default_factory=lambda: [1.0],
        help="Shares of the budget, each trained with its own schedule; at least three, with 1, show the compute to "
        "reach a loss.",
    )
    adaptation: dict | str | None = HfArg(
        default_factory=dict, help="Arguments of evaluate for episodes of held-out words (empty: no episodes)."
    )
    ner: dict | str | None = HfArg(default_factory=dict, help="Arguments of sweep for fine-tuning (empty: none).")
    few_shot: dict | str | None = HfArg(
        default_factory=dict,
        help="Arguments of finetune for few shots, with the treebanks as train_on (empty: none).",
    )
    processes: int = HfArg(default=1, help="Processes of a pretraining run, started by accelerate launch.")
    measured_steps: int = HfArg(default=20, help="Steps of the short run that measures the cost of an arm.")
    dry_run: bool = HfArg(default=False, help="Measure costs and print what the study takes; train nothing else.")
    retry_failed: bool = HfArg(default=False, help="Run failed runs again.")

    def __post_init__(self) -> None:
        super().__post_init__()
        # On the command line, and from a file, a mapping is JSON.
        for name in MAPPINGS:
            setattr(self, name, mapping(name, getattr(self, name)))
        check_choice("budget", self.budget, BUDGETS)
        check_at_least(1, processes=self.processes)
        check_at_least(12, measured_steps=self.measured_steps)
        check_at_least(0, seeds=min(self.seeds, default=-1))
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds are given twice: {self.seeds}")
        if len(set(self.budgets)) < len(self.budgets) or 1.0 not in self.budgets or not _are_shares(self.budgets):
            raise InputError(
                f"budgets are different shares above 0 and up to 1, with 1 among them, got {self.budgets}"
            )


def mapping(name: str, value: Any) -> dict[str, Any]:
    """A mapping of a study file; on the command line it is JSON. Raises InputError for anything else."""
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise InputError(f"{name} must be JSON, got {value!r}") from error
    if not isinstance(value, dict):
        raise InputError(f"{name} must be `key: value` lines, got {value!r}")
    return value


def _are_shares(values: list[float]) -> bool:
    return all(0 < value <= 1 for value in values)
