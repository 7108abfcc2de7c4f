"""A new model: random weights or those of `init_from`, and an embedding that may start from the training text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...trainers.meta import MetaCausalLM
from ...trainers.word_classes.token_vectors import start_embedding, token_vectors
from ..arguments.model import SVD
from .arguments import PretrainArguments
from .made_once import made_once


@dataclass(frozen=True)
class EmbeddingStart:
    """Vectors that the embedding starts from, and what they cost in compute seconds over all processes."""

    vectors: Tensor  #: (V, D), see `token_vectors`
    seconds: float


def load_start(
    args: PretrainArguments, blocks: Any, tokenizer: PreTrainedTokenizerBase, checkpoint: Path | None
) -> EmbeddingStart | None:
    """What the embedding starts from; None where it is random, or not needed because the run is resumed.

    A resumed run with `eval_episodes` needs it, to measure adaptation before training.
    """
    if args.model.init_embeddings != SVD or (checkpoint is not None and args.run.eval_episodes == 0):
        return None
    config, training = args.model.pico_config(), args.training
    shape = config.vocab_size, config.d_model
    return EmbeddingStart(
        *made_once(training, lambda: token_vectors(blocks, *shape, training.class_text_tokens, training.seed))
    )


def new_model(
    args: PretrainArguments, tokenizer: PreTrainedTokenizerBase, start: EmbeddingStart | None
) -> PreTrainedModel | MetaCausalLM:
    """The model at the start of training; equal arguments and text give equal weights."""
    model = args.model.model(tokenizer, args.training.seed)
    if start is not None:
        embedding = model.get_input_embeddings()
        assert isinstance(embedding, nn.Embedding)  # of a Pico
        start_embedding(embedding, start.vectors)
    return model
