"""What keeps a run from being lost: exact resume, preemption, bad numbers."""

from .preemption import PREEMPTED_CODE, Preemption
from .safe_trainer import SafeTrainer
from .step_guard import StepGuard

__all__ = ["PREEMPTED_CODE", "Preemption", "SafeTrainer", "StepGuard"]
