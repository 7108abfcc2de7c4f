"""Statistics of paired runs: what differs by more than the seeds do, and by how much.

- `paired`: differences over seeds with their t interval and tests.
- `verdict`: the correction for many tests (Holm), the verdict in words, and how many seeds a verdict needs.
"""

from .paired import Comparison, compare_pairs
from .verdict import holm, seeds_needed, verdict

__all__ = ["Comparison", "compare_pairs", "holm", "seeds_needed", "verdict"]
