"""Time episodes and their parts beside a next-token micro-batch, forward and backward."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from ...modeling_pico import PicoForCausalLM
from ...trainers import InputError, adapt_head, sample_episode
from ...trainers.episodes import Episode, episode_generator, sample_stream_episode
from ...trainers.episodes.sampling import Examples
from ...trainers.maml_config import MAMLConfig
from ...trainers.meta.episode_loss import InnerLoop
from ...trainers.meta.episode_model import read_states
from ...trainers.meta.meta_model import PicoForMetaCausalLM
from .shapes import Shape, zipf_text
from .timing import Tasks, in_turn, report

MASK_ID, WAYS, SHOTS, QUERIES = 0, 32, 4, 1
NEXT_TOKEN = "next-token micro-batch"


def measure_episodes(shape: Shape, vocab_size: int, rounds: int, window: int) -> dict[str, Any]:
    """Time of episodes and their parts, with ratios to a next-token micro-batch on the same model."""
    setting = Setting(shape, vocab_size, window)
    return report(in_turn(micro_batches(setting) | parts_of_an_episode(setting), rounds), NEXT_TOKEN)


class Setting:
    """A model, (R, T) token ids in `pool` that episodes are drawn from, and a micro-batch of (B, T) `ids`."""

    def __init__(self, shape: Shape, vocab_size: int, window: int, ways: int = WAYS, shots: int = SHOTS) -> None:
        torch.manual_seed(0)
        head = {"ways": ways, "layers": MAMLConfig.head_layers, "hidden_dim": MAMLConfig.head_hidden_dim}
        decoder = PicoForCausalLM(shape.config(vocab_size))
        self.model = PicoForMetaCausalLM.from_causal_lm(decoder, 0, **head, dropout=MAMLConfig.head_dropout)
        text = zipf_text(MAMLConfig.episode_pool + shape.batch_size, shape.block_size + 1, vocab_size)
        self.pool, batch = text[: -shape.batch_size, :-1], text[-shape.batch_size :]
        self.ids, self.targets = batch[:, :-1].contiguous(), batch[:, 1:].contiguous()
        self.window, self.ways, self.shots = window, ways, shots

    def sample(self, stream: bool = False) -> Episode:
        """Draw an episode, always the same one; with `stream` its query examples lie in the micro-batch.

        Raises:
            InputError: the text is too short.
        """
        texts = (self.pool, self.ids) if stream else (self.pool,)
        sampler: Callable[..., Episode | None] = sample_stream_episode if stream else sample_episode
        generator = episode_generator(0, 0, 0)
        episode = sampler(*texts, MASK_ID, self.ways, self.shots, QUERIES, generator, window=self.window)
        if episode is None:
            raise InputError(
                f"too little text for {self.ways}-way episodes: give a shape with more or longer rows, or lower "
                "episode_window"
            )
        return episode

    def step(self, **inputs: Any) -> None:
        """Forward and backward."""
        self.model.zero_grad()
        self.model(**inputs).loss.backward()

    def encode(self, examples: Examples) -> Tensor:
        """Hidden states at the masked positions of examples, without gradient."""
        with torch.no_grad():
            return read_states(self.model(examples.ids, keep_states=True).states, examples, 0)


def micro_batches(setting: Setting) -> Tasks:
    """Whole micro-batches with and without episodes."""
    next_token = {"input_ids": setting.ids, "shift_labels": setting.targets}
    support = len(setting.sample(stream=True).support)
    past = torch.randn(support, setting.model.config.d_model, generator=torch.Generator().manual_seed(0))
    exact = InnerLoop(first_order=False)
    return {
        NEXT_TOKEN: lambda: setting.step(**next_token),
        "episode": lambda: setting.step(episode=setting.sample(), dropout_seed=0),
        "exact second-order episode": lambda: setting.step(episode=setting.sample(), dropout_seed=0, inner=exact),
        "next-token micro-batch with a stream episode": lambda: setting.step(
            **next_token, keep_states=True, episode=setting.sample(stream=True), dropout_seed=0, support_features=past
        ),
    }


def parts_of_an_episode(setting: Setting) -> Tasks:
    """Sampling, encoding the support set, the inner loop, and the query set forward and backward."""
    model, episode = setting.model, setting.sample()
    inner_loop = partial(
        adapt_head,
        model.meta_head,
        setting.encode(episode.support),
        episode.support.labels,
        MAMLConfig.inner_steps,
        0.5,
    )
    fast = {name: weight.detach().requires_grad_() for name, weight in inner_loop().items()}

    def query() -> None:
        model.zero_grad()
        features = read_states(model.pico_decoder(episode.query.ids).last_hidden_state, episode.query, 0)
        F.cross_entropy(functional_call(model.meta_head, fast, (features,)), episode.query.labels).backward()

    return {
        "sampling": setting.sample,
        "support encoding": lambda: setting.encode(episode.support),
        "inner loop": inner_loop,
        "query": query,
    }
