"""FLOPs of training by formula (`FORMULA`): the products of matrices and causal attention.

A backward pass multiplies twice as much as a forward pass: once for the gradient of the token and once for that of the
matrix (Kaplan et al. 2020, section 2.1). Heads that share keys and values compute as many products as others. A token
attends to T/2 of T tokens on average; many authors count the whole square (Chowdhery et al. 2022, appendix B).
"""

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from huggingface_hub.errors import StrictDataclassError

from ..modeling_pico import PicoConfig
from .errors import InputError
from .maml_config import MAMLConfig
from .word_classes.class_config import WORDS

FORMULA = (
    "A multiplication and an addition are two operations. With N weights in the matrices that a token passes (the "
    "decoder's and the LM head's, not the embedding), L layers of width d and a context of T tokens, a forward pass "
    "costs 2N + 2LdT a token (Kaplan et al. 2020; attention over the tokens before, half of the square), training "
    "three times as much: 6N + 6LdT. An episode of n words, K shots and Q queries encodes nK support windows of W "
    "tokens forward and nQ query windows forward and backward, without the LM head and with T = W. With H weights in "
    "the head, h of them in its first layer, an inner step costs 6H - 2h a support example and the outer loss 6H a "
    "query example. Where the support set gets a gradient its windows cost three times as much, and exact gradients "
    "make an inner step three times as dear; episodes from the states of the next-token pass cost the head alone, and "
    "class episodes are counted as if each token ended a word that has a class, episodes of labelled tasks as if each "
    "task had n classes. "
    "Muon costs 20m^2n + 10m^3 a step for a matrix of m rows and n >= m columns (five Newton-Schulz steps), which "
    "the step's tokens share. Evaluations, accuracies, norms, softmax and AdamW are not counted."
)
# In arguments.json: type of a model that is no Pico, of which the formula does not know the matrices.
ARCHITECTURE = "architecture"
# A forward and a backward pass cost three times a forward pass.
TRAINING = 3


@dataclass(frozen=True)
class ModelCost:
    """Weights of the decoder's blocks, of the LM head and of the model, all without norms; `attention` is L * d."""

    decoder: int
    lm_head: int
    parameters: int
    attention: int

    @classmethod
    def of(cls, config: PicoConfig) -> "ModelCost":
        """Count the weights."""
        width, kv_width = config.d_model, config.d_model * config.attention_n_kv_heads // config.attention_n_heads
        attention = 2 * width * width + 2 * width * kv_width
        decoder = config.n_layers * (attention + 3 * width * config.activation_hidden_dim)
        lm_head = config.vocab_size * width
        embeddings = lm_head * (1 if config.tie_word_embeddings else 2)
        return cls(decoder, lm_head, decoder + embeddings, config.n_layers * width)

    def forward(self, tokens: float, length: float, head: int = 0) -> float:
        """FLOPs of a forward pass of `tokens` tokens in rows of `length`, with `head` weights behind the decoder."""
        return 2.0 * tokens * (self.decoder + head + self.attention * length)

    def next_token(self, tokens: float, block: float) -> float:
        """FLOPs of training on `tokens` tokens in blocks of `block`."""
        return TRAINING * self.forward(tokens, block, self.lm_head)


@dataclass(frozen=True)
class Cost:
    """FLOPs of a token of next-token prediction and of an episode; `parameters` as in `ModelCost`."""

    parameters: int
    token: float
    episode: float

    def total(self, next_token_tokens: np.ndarray, episodes: np.ndarray) -> np.ndarray:
        """FLOPs of a run up to each log; both counts are over all processes."""
        return self.token * next_token_tokens + (self.episode * episodes if episodes.any() else 0.0)


def cost_of(arguments: dict[str, Any], tokens_per_step: float = float("nan")) -> Cost | None:
    """The cost of a run with these arguments (arguments.json), or None if they are incomplete or its model is no Pico.

    An episode is counted once, not once a process: the processes share its rows. `random_positions` and class episodes
    grow with `tokens_per_step`, the tokens of an optimizer step over all processes. The classes of a user's file count
    as `class_count`.
    """
    if ARCHITECTURE in arguments:
        return None
    arguments = {f.name: f.default for f in fields(MAMLConfig)} | arguments
    try:
        shape = {f.name: arguments[f.name] for f in fields(PicoConfig) if arguments.get(f.name) is not None}
        config = PicoConfig.from_size(arguments["model_size"], **shape)
        model = ModelCost.of(config)
        token = model.next_token(1, arguments["block_size"])
        if arguments["matrix_optimizer"] == "muon":
            token += muon_flops(config) / (tokens_per_step * next_token_share(arguments))
        episode = episode_flops(config, arguments, tokens_per_step)
    except (KeyError, TypeError, ValueError, InputError, StrictDataclassError):
        return None
    return Cost(model.parameters, token, episode)


def muon_flops(config: PicoConfig) -> float:
    """FLOPs of Muon's products in a step: of each matrix of the layers five times (4 m^2 n + 2 m^3), m <= n."""
    width, hidden = config.d_model, config.activation_hidden_dim
    kv_width = width * config.attention_n_kv_heads // config.attention_n_heads
    shapes = 2 * [(width, width)] + 2 * [(kv_width, width)] + 3 * [tuple(sorted((width, hidden)))]
    return config.n_layers * sum(5.0 * (4 * m * m * n + 2 * m**3) for m, n in shapes)


def next_token_share(arguments: dict[str, Any]) -> float:
    """Share of the tokens that next-token prediction is trained on, on average."""
    return 1 - arguments["hybrid_ratio"] if arguments["hybrid_mode"] == "replace" else 1.0


def episode_flops(config: PicoConfig, arguments: dict[str, Any], tokens_per_step: float) -> float:
    """FLOPs of an episode, given every field of `MAMLConfig`; the mean where a share of them comes from tasks.

    An episode of a task is counted as if each task had n_way classes and each text task_window tokens.
    """
    flops, share = word_episode_flops(config, arguments, tokens_per_step), arguments["task_share"]
    if share == 0:
        return flops
    windows = {"episode_window": arguments["task_window"], "episode_states": "windows", "episode_sampler": "smlmt"}
    return (1 - share) * flops + share * word_episode_flops(config, arguments | windows, tokens_per_step)


def word_episode_flops(config: PicoConfig, arguments: dict[str, Any], tokens_per_step: float) -> float:
    """FLOPs of an episode without tasks.

    Besides `FORMULA`: an inner step saves the gradient of the features (2h), which nobody needs; prototypes as a start
    cost 6H - 2l a support example, with l weights in the last layer, because the labels get no gradient.
    """
    if arguments["episode_classes"] != WORDS:
        return class_episode_flops(config.d_model, arguments, tokens_per_step)
    window = arguments["episode_window"]
    support, query = (arguments["n_way"] * arguments[name] for name in ("k_shot", "n_query"))
    support_tokens, query_tokens = support * window, query * window
    if arguments["episode_sampler"] == "random_positions":
        # Positions in every row of a micro-batch, which is encoded whole, once for each set.
        window = arguments["block_size"]
        support_tokens = query_tokens = tokens_per_step / arguments["gradient_accumulation_steps"]
        support, query = (support_tokens / window * arguments[name] for name in ("k_shot", "n_query"))
    exact, algorithm = not arguments["first_order"], arguments["meta_algorithm"]
    layers = head_layers(config.d_model, arguments)
    head = sum(layers)
    steps = 0 if algorithm == "protonet" else arguments["inner_steps"]
    start = 0 if algorithm == "maml" else 6 * head - 2 * layers[-1]
    inner_loop = steps * (6 * head - 2 * layers[0]) * (3 if exact else 1)
    flops = support * (start + inner_loop) + query * 6 * head
    if arguments["episode_states"] == "windows":
        passes = TRAINING if exact or algorithm != "maml" else 1
        flops += ModelCost.of(config).forward(passes * support_tokens + TRAINING * query_tokens, window)
    return float(flops)


def class_episode_flops(width: int, arguments: dict[str, Any], tokens_per_step: float) -> float:
    """FLOPs of a class episode: an upper bound, as if each token of the micro-batch ended a word that has a class.

    A state costs 6 for each weight of the projection and of the head, whose weights may be prototypes. The inner loop
    adapts the head on half of the states, which get no gradient in first order.
    """
    states = tokens_per_step / arguments["gradient_accumulation_steps"]
    projected = arguments["class_width"]
    projection, head = width * projected, (projected or width) * arguments["class_count"]
    flops = states * 6.0 * (projection + head)
    if arguments["meta_algorithm"] == "maml":
        flops += states / 2 * arguments["inner_steps"] * 4 * head * (1 if arguments["first_order"] else 3)
    return flops


def head_layers(width: int, arguments: dict[str, Any]) -> list[int]:
    """Weights in each matrix of the episodes' head, on a decoder of this width."""
    inner = [arguments["head_hidden_dim"]] * (arguments["head_layers"] - 1)
    return [a * b for a, b in pairwise([width, *inner, arguments["n_way"]])]
