"""Means of metrics between two logs."""

import torch
from accelerate import Accelerator
from torch import Tensor


class Meter:
    """Means of named values since the last `pop`, kept as tensors on the device so that no step waits for them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pairs: dict[str, Tensor] = {}

    def add(self, name: str, total: Tensor | float, count: Tensor | float = 1) -> None:
        """Add a sum of `count` values."""
        pair = torch.stack([self._on_device(total), self._on_device(count)])
        self._pairs[name] = self._pairs[name] + pair if name in self._pairs else pair

    def pop(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over all processes, which must have added the same names; empties the meter."""
        sums = self.sums(accelerator)
        self._pairs = {}
        return {name: (pair[0] / pair[1]).item() for name, pair in sums.items() if pair[1]}

    def sums(self, accelerator: Accelerator) -> dict[str, Tensor]:
        """Sum and count over all processes by name, shape (2,); all processes must have added the same names."""
        names = sorted(self._pairs)
        if not names:
            return {}
        table = accelerator.reduce(torch.stack([self._pairs[name] for name in names]), "sum")
        return dict(zip(names, table.cpu(), strict=True))

    def load(self, sums: dict[str, Tensor], is_main_process: bool) -> None:
        """Restore what `sums` returned, on the main process for all processes."""
        self._pairs = {name: pair.to(self.device) * int(is_main_process) for name, pair in sums.items()}

    def _on_device(self, value: Tensor | float) -> Tensor:
        """The value in fp32 on the device; a number is filled in there, because a copy would wait for the device."""
        if isinstance(value, Tensor):
            return value.to(self.device, torch.float32)
        return torch.full((), value, dtype=torch.float32, device=self.device)
