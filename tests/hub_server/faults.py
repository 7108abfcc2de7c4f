"""Faults that a test plans for the next requests."""

import re
import threading
from dataclasses import dataclass, field


@dataclass
class Fault:
    """A fault of the next `times` requests that match.

    `status` answers with it instead of doing anything; `cut` reads half of the body and hangs up; `lost` does what was
    asked and hangs up without an answer; `slow` waits for `seconds` first.
    """

    kind: str
    match: str = ""  # a regular expression on "METHOD /path"
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "a fault of the test"
    seconds: float = 0.0
    times: int = 1
    met: int = 0

    def __post_init__(self) -> None:
        assert self.kind in ("status", "cut", "lost", "slow"), self.kind


class Faults:
    """Planned faults; safe to use from many threads."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []
        self.lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        with self.lock:
            self.waiting += faults

    def meet(self, request: str) -> Fault | None:
        """The fault planned for a request, None without one."""
        with self.lock:
            for fault in self.waiting:
                if fault.met < fault.times and re.search(fault.match, request):
                    fault.met += 1
                    return fault
        return None
