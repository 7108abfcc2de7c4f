"""The arguments of fine-tuning for named entity recognition."""

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from ..checks import check_choice
from ..tuning.tuning_config import TuningConfig
from .alignment import SUBWORDS

DECODINGS = ("argmax", "iob2")


@dataclass
class NERConfig(TuningConfig):
    """Fine-tuning for NER. Learning rate and epochs are the paper's (3.4); batch size and patience are ours.

    `--config paper-code-ner` sets what the paper's published code does.
    """

    labelled_subword: str = HfArg(
        default="first",
        help="Labelled sub-word of each word, `first` or `last`. The last one has read the whole word.",
    )
    tag_decoding: str = HfArg(
        default="argmax",
        help="`argmax` of each word (the paper's) or `iob2`. `iob2` is the most probable valid sequence.",
    )
    space_before_words: bool = HfArg(
        default=True,
        help="Tokenize each word with the space before it, as in running text. False: without, as the published code "
        "does, so that byte-level tokenizers cut most words differently.",
    )

    def __post_init__(self) -> None:
        check_choice("labelled_subword", self.labelled_subword, SUBWORDS)
        check_choice("tag_decoding", self.tag_decoding, DECODINGS)
        super().__post_init__()
