"""Makes the classes of words that a run asks for: clusters of its training text, or those of a file."""

from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from ..errors import InputError
from ..runs.files import CLASSES_RECORD_FILE
from ..runs.json_files import read_json, write_json
from .class_config import CLUSTERS, ClassConfig
from .counting import Blocks, count_neighbours
from .neighbour_vectors import clusters, neighbour_vectors
from .table import WordClasses, spelling_table

# Of a word's vector.
DIMENSIONS = 100


@dataclass(frozen=True)
class Record:
    """What is known of a run's word classes.

    Attributes:
        source: `clusters`, or the file of the classes.
        words: how many words have a class.
        classes: how many classes there are.
        min_count: words of clusters occur at least this often.
        tokens: of the text that was counted; 0 for a file.
        seconds: compute seconds that they took, over all processes (see `ComputeClock`).
        examples: some classes, from the largest to the smallest, each with its most frequent words.
    """

    source: str
    words: int
    classes: int
    min_count: int
    tokens: int
    seconds: float
    examples: dict[str, list[str]]

    def __str__(self) -> str:
        counted = f"that occur at least {self.min_count} times in {self.tokens:,} tokens"
        words = f"{self.words:,} words {counted if self.tokens else f'of {self.source}'}"
        lines = [f"word classes: {words}, in {self.classes} classes; {self.seconds:.1f} s"]
        return "\n".join(lines + [f"  {label}: {' '.join(words)}" for label, words in self.examples.items()])

    def save(self, folder: Path) -> None:
        """Write word_classes.json into a folder."""
        write_json(folder / CLASSES_RECORD_FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "Record":
        """Read word_classes.json of a folder."""
        return cls(**read_json(folder / CLASSES_RECORD_FILE))


def make_classes(
    blocks: Blocks, tokenizer: PreTrainedTokenizerBase, vocab_size: int, config: ClassConfig, seed: int
) -> tuple[WordClasses, int]:
    """Return the classes that a run asks for, and the tokens that were counted for them (0 for a file).

    Clusters are made of words that occur `class_min_count` times: counts of left and right neighbours, PPMI, SVD and
    k-means.

    Args:
        blocks: training text in blocks (T + 1) of `input_ids`, with the `document` of each.
        tokenizer: of the blocks.
        vocab_size: of the model.
        config: the arguments.
        seed: of SVD and k-means.

    Raises:
        InputError: the file is wrong, or the text has fewer words than `class_count`.
    """
    if config.episode_classes != CLUSTERS:
        return WordClasses.load(Path(config.episode_classes)), 0
    table = spelling_table(tokenizer, vocab_size)
    found = count_neighbours(blocks, tokenizer, table, config.class_min_count, config.class_text_tokens)
    if len(found.spellings) < config.class_count:
        raise InputError(
            f"class_count is {config.class_count}, but only {len(found.spellings)} words occur class_min_count "
            f"{config.class_min_count} times in {found.tokens} tokens: lower one of the two, or give more text"
        )
    labels = clusters(neighbour_vectors(found.neighbours, DIMENSIONS, seed), config.class_count, seed)
    names = [str(label) for label in labels.tolist()]
    return WordClasses.from_words(found.spellings, names, found.counts.tolist()), found.tokens
