"""Arguments of class episodes, beside those of word episodes."""

from dataclasses import dataclass, fields
from typing import Any

from transformers.hf_argparser import HfArg

from ..checks import check_at_least, check_choice
from ..errors import InputError
from ..meta.episode_config import CLASS_READOUT, EpisodeConfig
from ..word_classes.class_config import ClassConfig

# Heads of class episodes: nearest prototypes, head-only MAML, and a classifier without an inner loop.
CLASS_ALGORITHMS = ("protonet", "maml", "direct")


@dataclass
class ClassEpisodeConfig(ClassConfig, EpisodeConfig):
    """Arguments of episodes whose classes are words, or classes of words; checkpoints record them.

    Raises:
        InputError: a value is out of its range, or two arguments exclude each other.
    """

    class_identity: str = HfArg(
        default="fixed",
        help="With classes of words and meta_algorithm maml: the head's outputs stand for the same classes in every "
        "episode (`fixed`), or are `permuted` in each.",
    )
    class_support: str = HfArg(
        default="batch",
        help="With classes of words and meta_algorithm protonet: prototypes are made from this `batch`, or from a "
        "`memory` of all batches, of which each half of the words is told by the other half.",
    )
    held_out_classes: float = HfArg(
        default=0.0, help="Share of the classes of words that are in no training episode, to evaluate on (0: none)."
    )
    class_decay: float = HfArg(default=0.98, help="Factor by which each episode shrinks the sums in the memory.")
    class_width: int = HfArg(
        default=64, help="Width to which states are projected before their class is told (0: they are not)."
    )
    class_layer: int = HfArg(
        default=0, help="Layer whose states tell the class, counted from 1 (0: the last one, after its norm)."
    )

    def __post_init__(self) -> None:
        ClassConfig.__post_init__(self)
        EpisodeConfig.__post_init__(self)

    def settings_to_record(self) -> dict[str, Any]:
        """Return what a checkpoint records: the episodes' settings, and those of their classes if they have any."""
        names = {f.name for f in fields(ClassEpisodeConfig if self.class_episodes else EpisodeConfig)}
        return {name: value for name, value in vars(self).items() if name in names}

    def check_kind(self) -> None:
        """Raise InputError unless readout and algorithm fit the classes."""
        check_choice("class_identity", self.class_identity, ("fixed", "permuted"))
        check_choice("class_support", self.class_support, ("batch", "memory"))
        if not 0 <= self.class_decay < 1:
            raise InputError(f"class_decay must be at least 0 and below 1, got {self.class_decay}")
        if not 0 <= self.held_out_classes < 1:
            raise InputError(f"held_out_classes must be at least 0 and below 1, got {self.held_out_classes}")
        check_at_least(0, class_width=self.class_width, class_layer=self.class_layer)
        if not self.class_episodes:
            super().check_kind()
            return
        classes = f"episode_classes {self.episode_classes}"
        if self.readout != CLASS_READOUT:
            raise InputError(
                f"{classes} reads the state at a word's last token: it needs readout {CLASS_READOUT}, got "
                f"{self.readout!r}"
            )
        if self.meta_algorithm not in CLASS_ALGORITHMS:
            raise InputError(
                f"{classes} needs a meta_algorithm of {', '.join(CLASS_ALGORITHMS)}, got {self.meta_algorithm!r}"
            )
        if self.held_out_rule == "id":
            raise InputError(
                f"{classes} has words of several tokens: it needs held_out_rule form or stem:LANGUAGE, got 'id'"
            )
        self._check_head("class_identity", self.class_identity, "fixed", "maml")
        self._check_head("class_support", self.class_support, "batch", "protonet")

    def _check_head(self, name: str, value: str, usual: str, algorithm: str) -> None:
        if value != usual and self.meta_algorithm != algorithm:
            raise InputError(f"{name} {value} needs meta_algorithm {algorithm}, got {self.meta_algorithm!r}")
