"""Decides which updates to skip: those with numbers that are not finite and, by option, loss spikes."""

import math

import torch
from torch import Tensor

# Decay of the running mean and variance of the loss, and steps before a spike is judged by them.
DECAY = 0.98
SETTLED = 50


class StepGuard:
    """Judges each optimizer step before its update, from the losses and gradients of all processes.

    A next-token loss is a spike at `spike` standard deviations above its running mean (0: never).
    """

    def __init__(self, spike: float) -> None:
        self.spike = spike
        self.in_a_row = 0
        self.mean, self.variance, self.seen = 0.0, 0.0, 0
        self.begin()

    def begin(self) -> None:
        """Begin a new optimizer step."""
        self.batches: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._next_token: list[Tensor] = []

    def see(self, input_ids: Tensor) -> None:
        """Add a micro-batch (B, T), which is saved if the run stops at this step."""
        self.batches.append(input_ids)

    def add(self, loss: Tensor) -> None:
        """Add the loss of a micro-batch."""
        self._losses.append(loss.detach())

    def add_next_token(self, loss: Tensor) -> None:
        """Add the next-token loss of a micro-batch that has one."""
        self._next_token.append(loss.detach())

    def on_this_process(self, grad_norm: Tensor) -> list[float]:
        """The arguments of `judge`, to be summed over processes; the only wait for the device in a step."""
        parts = [grad_norm, torch.stack(self._losses).sum(), *self._next_token]
        norm, loss, *next_token = torch.stack([part.float().reshape(()) for part in parts]).tolist()
        bad = not (math.isfinite(norm) and math.isfinite(loss))
        return [float(bad), math.fsum(next_token) if not bad else 0.0, float(len(next_token))]

    def judge(self, bad: float, next_token: float, count: float) -> str | None:
        """The reason to skip the update, `not finite` or `spike`, or None; takes sums over all processes."""
        loss = next_token / count if count else None
        why = "not finite" if bad else "spike" if loss is not None and self._is_spike(loss) else None
        self.in_a_row = self.in_a_row + 1 if why else 0
        if why is None and loss is not None:
            self._follow(loss)
        return why

    def state(self) -> dict[str, Tensor]:
        """The state that a checkpoint saves."""
        values = [self.in_a_row, self.mean, self.variance, self.seen]
        return {"guard": torch.tensor(values, dtype=torch.float64)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        in_a_row, self.mean, self.variance, seen = tensors["guard"].tolist()
        self.in_a_row, self.seen = int(in_a_row), int(seen)

    def _is_spike(self, loss: float) -> bool:
        highest = self.mean + self.spike * math.sqrt(self.variance)
        return self.spike > 0 and self.seen >= SETTLED and loss > highest

    def _follow(self, loss: float) -> None:
        self.seen += 1
        rate = max(1 - DECAY, 1 / self.seen)
        off = loss - self.mean
        self.mean += rate * off
        self.variance = (1 - rate) * (self.variance + rate * off * off)
