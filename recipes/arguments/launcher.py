"""Arguments of commands whose work is shared by several workers."""

import json
from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from ...trainers import InputError
from ...trainers.checks import check_at_least, check_choice
from ...trainers.runs.launcher import LAUNCHERS


@dataclass(kw_only=True)
class LauncherArguments:
    """Workers."""

    workers: int = HfArg(default=1, help="Processes, or SLURM array jobs, that share the work.")
    launcher: str = HfArg(
        default="process",
        help=f"{', '.join(LAUNCHERS)}: processes here, the same through submitit, or SLURM array jobs.",
    )
    slurm: dict | str | None = HfArg(
        default=None, help='Parameters of submitit as JSON: {"slurm_partition": "gpu", "timeout_min": 600}.'
    )
    stale_after: float = HfArg(default=600.0, help="Seconds without a sign of life after which work is taken over.")

    def __post_init__(self) -> None:
        check_choice("launcher", self.launcher, LAUNCHERS)
        check_at_least(1, workers=self.workers, stale_after=self.stale_after)
        if isinstance(self.slurm, str):
            try:
                self.slurm = json.loads(self.slurm)
            except json.JSONDecodeError as error:
                raise InputError(f"slurm must be JSON, got {self.slurm!r}") from error
