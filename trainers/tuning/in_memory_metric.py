"""An `evaluate.Metric` that needs neither network nor files. Importing this module loads evaluate."""

from typing import Any

import evaluate


class InMemoryMetric(evaluate.Metric):
    """Base class of the scores; with `keep_in_memory` they write no files."""

    def __init__(self, keep_in_memory: bool = True, **options: Any) -> None:
        super().__init__(keep_in_memory=keep_in_memory, **options)

    def _build_data_dir(self) -> str:
        # evaluate creates a cache folder even for a metric in memory, which fails where the cache cannot be written.
        return "" if self.keep_in_memory else super()._build_data_dir()
