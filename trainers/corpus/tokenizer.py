"""Train a byte-level BPE tokenizer, or load one from a folder or the Hub."""

import inspect
import sys
from collections.abc import Iterable, Iterator

import datasets
import tokenizers
import transformers
from datasets import Dataset, Features, NamedSplit, Value
from datasets.fingerprint import Hasher
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from tokenizers import trainers as bpe_trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ..errors import InputError
from ..model_name import ModelName
from .cache import copying

END_OF_TEXT, PADDING, MASK = "<|endoftext|>", "<|padding|>", "[MASK]"


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE (Sennrich et al. 2016) with end-of-text, padding and mask tokens.

    `vocab_size` counts all tokens, the 256 bytes and the three special ones included.
    """
    if vocab_size < 260:
        raise InputError(f"vocab_size {vocab_size} is too small: 256 bytes and 3 special tokens need at least 260")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # A token's offsets begin at its letters, not at the space before: pipelines use them to cut out entities.
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=True)
    trainer = bpe_trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT, PADDING, MASK],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _with_special_tokens(tokenizer)


def trained_tokenizer(documents: Dataset, vocab_size: int) -> PreTrainedTokenizerFast:
    """Train one on the column `text`, or take it from the cache of `datasets` if it was trained on these before."""
    source = inspect.getsource(sys.modules[__name__])
    version = Hasher.hash([source, *(module.__version__ for module in (datasets, tokenizers, transformers))])
    of = {"documents": documents, "vocab_size": vocab_size, "version": version}
    with copying():
        features = Features({"tokenizer": Value("string")})
        rows = Dataset.from_generator(_trained, features, gen_kwargs=of, split=NamedSplit("tokenizer"))
    return _with_special_tokens(Tokenizer.from_str(rows[0]["tokenizer"]))


def _trained(documents: Dataset, vocab_size: int, version: str) -> Iterator[dict[str, str]]:
    """One row; the version of all that it depends on is part of the cache's key."""
    trained = train_tokenizer((row["text"] for row in documents), vocab_size)
    yield {"tokenizer": trained.backend_tokenizer.to_str()}


def _with_special_tokens(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END_OF_TEXT, pad_token=PADDING, mask_token=MASK
    )


def model_tokenizer(model: str, revision: str | None = None, tokenizer: str | None = None) -> PreTrainedTokenizerBase:
    """Load the `tokenizer` that is given, or else the model's own (see `load_tokenizer`)."""
    return load_tokenizer(tokenizer) if tokenizer is not None else load_tokenizer(model, revision)


def load_tokenizer(name: str, revision: str | None = None, rows: int | None = None) -> PreTrainedTokenizerBase:
    """Load a tokenizer from a folder or the Hub; one without a mask token gets it (as in the paper's code).

    With `rows`, those of a model's embedding, it gets none unless there is a row left for it.

    If `name` has a subfolder (see `ModelName`) without a tokenizer, the one at the top is loaded.

    Raises:
        InputError: there is no such tokenizer, or it has no end-of-text token to separate documents.
    """
    model = ModelName.parse(name, revision)
    try:
        try:
            tokenizer = AutoTokenizer.from_pretrained(model.path, revision=model.revision, subfolder=model.subfolder)
        except Exception:
            if not model.subfolder:
                raise
            tokenizer = AutoTokenizer.from_pretrained(model.path, revision=model.revision)
    except Exception as error:  # files of any kind, read by several libraries
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"no tokenizer at {name!r}: set tokenizer to a folder with tokenizer.json or a Hub name ({reason})"
        ) from error
    if tokenizer.eos_token_id is None:
        raise InputError(f"the tokenizer {name!r} has no end-of-text token (eos_token): set one and save it again")
    if tokenizer.mask_token_id is None and (rows is None or len(tokenizer) < rows or MASK in tokenizer.get_vocab()):
        tokenizer.add_special_tokens({"mask_token": MASK})
    return tokenizer


def text_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """The token ids of each text, without special tokens: `[MASK]` or `<|endoftext|>` in a text are text."""
    encoded = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
    return encoded["input_ids"]


def mask_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Id of the mask token; -1, which no token has, where there is none because nothing is masked."""
    return -1 if tokenizer.mask_token_id is None else tokenizer.mask_token_id


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, vocab_size: int, with_mask: bool = False) -> None:
    """Raise InputError if text can become ids that a model of this vocabulary has no embedding of.

    The mask token, which only episodes need, may be one of them, or missing, unless `with_mask`.
    """
    if with_mask and tokenizer.mask_token_id is None:
        raise InputError(
            "readout mask and last need a mask token, which the tokenizer lacks, and a row of the embedding for it: "
            "give readout previous, which needs none, or add the token and call model.resize_token_embeddings"
        )
    ids = [i for token, i in tokenizer.get_vocab().items() if with_mask or token != tokenizer.mask_token]
    if max(ids) >= vocab_size:
        raise InputError(
            f"the tokenizer has {max(ids) + 1} tokens, but the model's vocab_size is {vocab_size}: give the tokenizer "
            "that the model was trained with; for a new model raise vocab_size"
        )
