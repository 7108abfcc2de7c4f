"""Means of metrics between two logs, and the local file that every log is written to."""

import json
from pathlib import Path

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


class MetricsFile:
    """metrics.jsonl: one JSON object a log, appended and flushed at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def exists(self) -> bool:
        """Whether a run has written here."""
        return self.path.exists()

    def keep_until(self, step: int) -> None:
        """Drop what was logged after `step` (a resumed run logs it again), and a line cut off by a crash."""
        if not self.path.exists():
            return
        kept = []
        for line in self.path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if entry["step"] <= step:
                kept.append(line + "\n")
        self.path.write_text("".join(kept))

    def append(self, entry: dict) -> None:
        """Write one log."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
