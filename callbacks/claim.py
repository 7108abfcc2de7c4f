"""Ends a run that has lost its folder to another one."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from ..trainers import InputError
from ..trainers.runs.claim import Claim


class ClaimCallback(TrainerCallback):
    """Raises InputError after a step in which `claim` was lost, before the run writes into the folder again."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Check the claim."""
        if self.claim.lost:
            raise InputError(
                f"step {state.global_step}: this process showed no sign of life for so long that another run took "
                f"over {self.claim.path.parent}: leave the folder to it, or stop it and start again with --resume"
            )
