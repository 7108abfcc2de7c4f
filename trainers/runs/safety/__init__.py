"""A trainer that resumes exactly, and survives preemption, bad numbers and failing trackers."""

from .preemption import PREEMPTED_CODE, Preemption
from .safe_trainer import SafeTrainer
from .step_guard import StepGuard

__all__ = ["PREEMPTED_CODE", "Preemption", "SafeTrainer", "StepGuard"]
