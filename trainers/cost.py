"""What training costs, in floating-point operations by formula."""

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from huggingface_hub.errors import StrictDataclassError

from ..modeling_pico import PicoConfig
from .errors import InputError
from .maml_config import MAMLConfig

FORMULA = (
    "A multiplication and an addition are two operations. With N weights in the matrices that a token passes (the "
    "decoder's and the LM head's, not the embedding), L layers of width d and a context of T tokens, a forward pass "
    "costs 2N + 4LdT a token (Kaplan et al. 2020; attention over the whole square, as in Chowdhery et al. 2022), "
    "training three times as much: 6N + 12LdT. An episode of n words, K shots and Q queries encodes nK support "
    "windows of W tokens forward and nQ query windows forward and backward, without the LM head and with T = W; the "
    "inner loop is 6H for each support example and inner step, H being the head's weights, and 6H a query example. "
    "Where the support set gets a gradient it costs three times as much; episodes from the states of the next-token "
    "pass cost the head alone. Evaluations, norms, softmax and the optimizer are left out."
)


@dataclass(frozen=True)
class Cost:
    """Operations of the parts of a run: `FORMULA`.

    Attributes:
        parameters: all weights of the model, without the episodes' head.
        token: of a token that next-token prediction is trained on.
        episode: of one episode.
    """

    parameters: int
    token: float
    episode: float

    def total(self, next_token_tokens: np.ndarray, episodes: np.ndarray) -> np.ndarray:
        """Of a run so far; both counts are over all processes."""
        return self.token * next_token_tokens + (self.episode * episodes if episodes.any() else 0.0)


def cost_of(arguments: dict[str, Any], tokens_per_step: float = float("nan")) -> Cost | None:
    """The cost of a run with these arguments (arguments.json); None where they do not tell.

    An episode is counted once, not once a process: its rows are shared between the processes.

    Args:
        arguments: of the run.
        tokens_per_step: of one optimizer step over all processes; the published code's episodes grow with it.
    """
    # What a run of an earlier version did not have to say is what it did by default.
    arguments = {f.name: f.default for f in fields(MAMLConfig)} | arguments
    try:
        shape = {f.name: arguments[f.name] for f in fields(PicoConfig) if arguments.get(f.name) is not None}
        config = PicoConfig.from_size(arguments["model_size"], **shape)
        block, window = arguments["block_size"], arguments["episode_window"]
        support, query = (arguments["n_way"] * arguments[name] for name in ("k_shot", "n_query"))
        support_tokens, query_tokens = support * window, query * window
        if arguments["episode_sampler"] == "random_positions":
            # Positions in every row of a micro-batch, which is encoded whole, once for each set.
            support_tokens = query_tokens = tokens_per_step / arguments["gradient_accumulation_steps"]
            support, query = (support_tokens / block * arguments[name] for name in ("k_shot", "n_query"))
            window = block
        decoder, head = decoder_weights(config), head_weights(config.d_model, arguments)
        lm_head = config.vocab_size * config.d_model
        attention = 4 * config.n_layers * config.d_model
        with_gradient = arguments["meta_algorithm"] != "maml" or not arguments["first_order"]
        forward_passes = (3 if with_gradient else 1) * support_tokens + 3 * query_tokens
        encoding = (
            0 if arguments["episode_states"] == "stream" else forward_passes * (2 * decoder + attention * window)
        )
        steps = 0 if arguments["meta_algorithm"] == "protonet" else arguments["inner_steps"]
        return Cost(
            parameters=decoder + lm_head * (1 if config.tie_word_embeddings else 2),
            token=3.0 * (2 * (decoder + lm_head) + attention * block),
            episode=float(encoding + 6 * head * (support * steps + query)),
        )
    except (KeyError, TypeError, ValueError, InputError, StrictDataclassError):
        return None


def decoder_weights(config: PicoConfig) -> int:
    """Weights in the matrices of the decoder's blocks."""
    width, kv_width = config.d_model, config.d_model * config.attention_n_kv_heads // config.attention_n_heads
    attention = 2 * width * width + 2 * width * kv_width
    return config.n_layers * (attention + 3 * width * config.activation_hidden_dim)


def head_weights(width: int, arguments: dict[str, Any]) -> int:
    """Weights in the matrices of the episodes' head."""
    inner = [arguments["head_hidden_dim"]] * (arguments["head_layers"] - 1)
    sizes = [width, *inner, arguments["n_way"]]
    return sum(a * b for a, b in pairwise(sizes))
