"""The corpus: documents, tokenizer, packed blocks and the words in them."""

from .blocks import make_blocks
from .documents import load_documents
from .form_table import FormTable, Words, load_words
from .held_out import split_held_out
from .mixture import MixedBlocks, MixedStream, mix_blocks
from .packing import collate_blocks, first_blocks, pack_blocks
from .stream import BlockStream
from .texts import first_texts
from .tokenizer import check_vocabulary, load_tokenizer, mask_id, model_tokenizer, train_tokenizer
from .words import WordTable

__all__ = [
    "BlockStream",
    "FormTable",
    "MixedBlocks",
    "MixedStream",
    "WordTable",
    "Words",
    "check_vocabulary",
    "collate_blocks",
    "first_blocks",
    "first_texts",
    "load_documents",
    "load_tokenizer",
    "load_words",
    "make_blocks",
    "mask_id",
    "mix_blocks",
    "model_tokenizer",
    "pack_blocks",
    "split_held_out",
    "train_tokenizer",
]
