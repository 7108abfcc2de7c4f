"""How well a model adapts on text it was not trained on."""

from dataclasses import dataclass

import torch
from accelerate.utils import reduce
from torch import Tensor

from .corpus import WordTable
from .episode_config import EpisodeConfig
from .episodes import episode_generator
from .meta_model import PicoForMetaCausalLM


@dataclass(frozen=True)
class Adaptation:
    """Accuracies on the query sets of held-out episodes, each a share of all query windows.

    Attributes:
        episodes: how many were run.
        chance: 1 / N.
        before: with the head as it was trained.
        after: after the inner loop.
        gain: `after` minus `before`.
        prototypes: by nearest class prototype, without a head (the baseline).
    """

    episodes: int
    chance: float
    before: float
    after: float
    gain: float
    prototypes: float


@torch.no_grad()
def evaluate_adaptation(
    model: PicoForMetaCausalLM,
    blocks: Tensor,
    words: WordTable,
    mask_id: int,
    config: EpisodeConfig,
    episodes: int,
    seed: int = 0,
) -> Adaptation:
    """Run episodes drawn from held-out text, without dropout; nothing of the model changes.

    Args:
        model: its head must have `config.n_way` classes; its mode is restored.
        blocks: (R, T) held-out token ids, the pool of all episodes.
        words, mask_id: of the tokenizer.
        config: the episode and the inner loop.
        episodes: how many.
        seed: the same seed gives the same episodes for every model.

    Raises:
        InputError: the blocks hold too few words.
    """
    config.check_pool(blocks, mask_id, words)
    was_training = model.training
    names = ("query_accuracy_before", "query_accuracy", "prototype_accuracy")
    totals = torch.zeros(len(names), 2)
    model.eval()
    try:
        for i in range(episodes):
            episode = config.sample(blocks, mask_id, words, episode_generator(seed, i, 0))
            if episode is None:
                raise RuntimeError("a pool that held enough words no longer does")
            out = model(episode=episode.to(model.device), inner_steps=config.inner_steps, inner_lr=config.inner_lr)
            totals += torch.tensor([[float(total), float(count)] for total, count in map(out.metrics.get, names)])
    finally:
        model.train(was_training)
    totals = reduce(totals.to(model.device), "sum")
    before, after, prototypes = (totals[:, 0] / totals[:, 1]).tolist()
    return Adaptation(episodes, 1 / config.n_way, before, after, after - before, prototypes)
