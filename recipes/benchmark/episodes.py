"""What an episode and its parts cost beside a next-token micro-batch, forward and backward."""

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from ...modeling_pico import PicoForCausalLM
from ...trainers import InputError, adapt_head, sample_episode
from ...trainers.episodes import Episode, episode_generator, sample_stream_episode
from ...trainers.maml_config import MAMLConfig
from ...trainers.meta.episode_config import EpisodeConfig
from ...trainers.meta.episode_loss import InnerLoop
from ...trainers.meta.meta_model import PicoForMetaCausalLM, read_states
from .shapes import Shape, zipf_text
from .timing import Tasks, in_turn, report

MASK_ID = 0
NEXT_TOKEN = "next-token micro-batch"


def measure_episodes(shape: Shape, vocab_size: int, window: int, rounds: int) -> dict[str, Any]:
    """Ratios to a next-token micro-batch on the same model."""
    return report(in_turn(episode_tasks(shape, vocab_size, window), rounds), NEXT_TOKEN)


def episode_tasks(shape: Shape, vocab_size: int, window: int) -> Tasks:
    """Micro-batches with and without episodes, and the parts of an episode.

    Raises:
        InputError: the micro-batch is too small to draw episodes from.
    """
    torch.manual_seed(0)
    config = shape.config(vocab_size)
    head = {"ways": 32, "layers": MAMLConfig.head_layers, "hidden_dim": MAMLConfig.head_hidden_dim}
    model = PicoForMetaCausalLM.from_causal_lm(PicoForCausalLM(config), 0, **head, dropout=MAMLConfig.head_dropout)
    text = zipf_text(MAMLConfig.episode_pool + shape.batch_size, shape.block_size + 1, vocab_size)
    pool, batch = text[: -shape.batch_size, :-1], text[-shape.batch_size :]
    ids, targets = batch[:, :-1].contiguous(), batch[:, 1:].contiguous()

    def sample() -> Episode:
        return found(sample_episode(pool, MASK_ID, 32, 4, 1, episode_generator(0, 0, 0), window=window))

    def sample_stream() -> Episode:
        return found(sample_stream_episode(pool, ids, MASK_ID, 32, 4, 1, episode_generator(0, 0, 0), window=window))

    def step(**inputs: Any) -> None:
        model.zero_grad()
        model(**inputs).loss.backward()

    episode, stream = sample(), sample_stream()
    with torch.no_grad():
        support = read_states(model(episode.support.ids, keep_states=True).states, episode.support, 0)
    past = torch.randn(len(stream.support), config.d_model, generator=torch.Generator().manual_seed(0))

    def encode_support() -> None:
        with torch.no_grad():
            model(episode.support.ids, keep_states=True)

    def inner_loop() -> dict[str, Tensor]:
        return adapt_head(model.meta_head, support, episode.support.labels, EpisodeConfig.inner_steps, 0.5)

    fast = {name: weight.detach().requires_grad_() for name, weight in inner_loop().items()}

    def query() -> None:
        model.zero_grad()
        features = read_states(model.pico_decoder(episode.query.ids).last_hidden_state, episode.query, 0)
        F.cross_entropy(functional_call(model.meta_head, fast, (features,)), episode.query.labels).backward()

    return {
        NEXT_TOKEN: lambda: step(input_ids=ids, shift_labels=targets),
        "episode": lambda: step(episode=sample(), dropout_seed=0),
        "exact second-order episode": lambda: step(
            episode=sample(), dropout_seed=0, inner=InnerLoop(first_order=False)
        ),
        "next-token micro-batch with a stream episode": lambda: step(
            input_ids=ids,
            shift_labels=targets,
            keep_states=True,
            episode=sample_stream(),
            dropout_seed=0,
            support_features=past,
        ),
        "sampling": sample,
        "support encoding": encode_support,
        "inner loop": inner_loop,
        "query": query,
    }


def found(episode: Episode | None) -> Episode:
    """The episode.

    Raises:
        InputError: there is none, because the text is too short.
    """
    if episode is None:
        raise InputError(
            "too little text for 32-way episodes: give a shape with more or longer rows, or lower episode_window"
        )
    return episode
