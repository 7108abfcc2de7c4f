"""The arguments of fine-tuning for the classification of texts."""

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from ..checks import check_choice
from ..tuning.tuning_config import TuningConfig

POOLINGS = ("last", "mean")


@dataclass
class ClassificationConfig(TuningConfig):
    """Fine-tuning to classify texts. Learning rate and epochs are those of NER; F1 is macro-F1."""

    pooling: str = HfArg(
        default="last",
        help="What of a text is classified: its `last` token, which has read all of it, or the `mean` of its tokens.",
    )

    def __post_init__(self) -> None:
        check_choice("pooling", self.pooling, POOLINGS)
        super().__post_init__()

    def classifier(self) -> dict[str, str]:
        """The arguments of the model's configuration that give its classifier the right shape and input."""
        return {**super().classifier(), "classifier_pooling": self.pooling}
