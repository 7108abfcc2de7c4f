"""Arguments of word classes: where they come from, and how they are made."""

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from ..checks import check_at_least

WORDS, CLUSTERS = "words", "clusters"


@dataclass
class ClassConfig:
    """Classes of words, which an episode can have for classes in place of words.

    Raises:
        InputError: a value is out of its range.
    """

    episode_classes: str = HfArg(
        default=WORDS,
        help="Classes of an episode: `words` (each word is one), `clusters` of words that have the same neighbours in "
        "the training text, or a file with the columns word and class, separated by tabs.",
    )
    class_count: int = HfArg(default=256, help="Number of clusters.")
    class_min_count: int = HfArg(default=6, help="A word must occur this often to be in a cluster.")
    class_text_tokens: int = HfArg(
        default=20_000_000, help="Tokens from the start of the training text whose words are counted (0: all of it)."
    )

    def __post_init__(self) -> None:
        check_at_least(2, class_count=self.class_count)
        check_at_least(1, class_min_count=self.class_min_count)
        check_at_least(0, class_text_tokens=self.class_text_tokens)

    @property
    def class_episodes(self) -> bool:
        """True when the classes of episodes are classes of words."""
        return self.episode_classes != WORDS
