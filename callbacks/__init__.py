"""What is watched while a model trains, one callback a file."""

from .head_statistics import HeadStatisticsCallback
from .perplexity import PerplexityCallback, held_out_loss
from .progress import ProgressCallback
from .publish import PublishCallback

__all__ = ["HeadStatisticsCallback", "PerplexityCallback", "ProgressCallback", "PublishCallback", "held_out_loss"]
