"""Means of metrics between two logs."""

import torch
from accelerate import Accelerator
from torch import Tensor


class Meter:
    """Means of named values since the last `pop`; they stay tensors on the device, so that nothing waits for them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pairs: dict[str, Tensor] = {}

    def add(self, name: str, total: Tensor | float, count: Tensor | float = 1) -> None:
        """Add a sum and the number of things it is the sum of."""
        pair = torch.stack([torch.as_tensor(part, device=self.device, dtype=torch.float32) for part in (total, count)])
        self._pairs[name] = self._pairs[name] + pair if name in self._pairs else pair

    def pop(self, accelerator: Accelerator) -> dict[str, float]:
        """The means over all processes, which must have added the same names; the meter is empty afterwards."""
        sums = self.sums(accelerator)
        self._pairs = {}
        return {name: (pair[0] / pair[1]).item() for name, pair in sums.items() if pair[1]}

    def sums(self, accelerator: Accelerator) -> dict[str, Tensor]:
        """For each name the sum and the count over all processes, which must have added the same names."""
        names = sorted(self._pairs)
        if not names:
            return {}
        table = accelerator.reduce(torch.stack([self._pairs[name] for name in names]), "sum")
        return dict(zip(names, table.cpu(), strict=True))

    def load(self, sums: dict[str, Tensor], is_main_process: bool) -> None:
        """Go on from saved sums, which the main process takes on for all."""
        self._pairs = {name: pair.to(self.device) * int(is_main_process) for name, pair in sums.items()}
