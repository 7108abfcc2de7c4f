"""How well a model adapts to words and text it was not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate.utils import gather
from torch import Tensor
from torch.func import functional_call

from ..corpus import WordTable
from ..episodes import Episode, episode_generator
from ..errors import InputError
from ..process_group import rank, world_size
from .episode_config import EpisodeConfig
from .episode_loss import InnerLoop
from .inner_loop import MetaHead, inner_loop, prototype_logits
from .meta_model import PicoForMetaCausalLM, read_states

RESAMPLES = 2000


@dataclass(frozen=True)
class Accuracy:
    """Mean query accuracy over episodes, with its 95 % bootstrap interval over episodes."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Adaptation:
    """Query accuracies on held-out episodes of one shape.

    Attributes:
        n_way, k_shot, episodes: what was run.
        chance: 1 / N.
        prototypes: by nearest class prototype, without a head: the baseline.
        trained: with the model's own head after 0, 1, ..., T inner steps; None where it has no trained one.
        fresh: the same with a new head of the same shape, which shows what the features alone are worth.
    """

    n_way: int
    k_shot: int
    episodes: int
    chance: float
    prototypes: Accuracy
    trained: list[Accuracy] | None
    fresh: list[Accuracy]


def evaluate_adaptation(
    model: PicoForMetaCausalLM,
    blocks: Tensor,
    words: WordTable,
    mask_id: int,
    config: EpisodeConfig,
    episodes: int,
    seed: int = 0,
    trained_head: bool = True,
) -> Adaptation:
    """Run episodes drawn from held-out text, without dropout; nothing of the model changes.

    Args:
        model: its mode is restored. Of a head with more than `config.n_way` classes the first ones are used, which the
            random order of classes makes as good as any in SMLMT episodes; one with fewer is left out.
        blocks: (R, T) held-out token ids, the pool of all episodes.
        words: which ids may be classes, usually those held out in training.
        mask_id: of the tokenizer.
        config: the episodes and the inner loop.
        episodes: how many; processes share them.
        seed: the same seed gives the same episodes and the same fresh head for every model.
        trained_head: judge the model's own head too.

    Raises:
        InputError: the blocks hold too few words, or the head has learned rates for fewer inner steps.
    """
    config.check_pool(blocks, mask_id, words)
    trained_head = trained_head and config.n_way <= model.config.meta_head["ways"]
    heads = {"fresh": _fresh_head(model, config, seed)}
    if trained_head:
        heads["trained"] = _first_ways(model, config)
    inner = config.inner_loop()
    right: list[Tensor] = []
    was_training = model.training
    model.eval()
    try:
        # Every process runs as many (FSDP needs that); the surplus is dropped below.
        for i in range(rank(), world_size() * -(-episodes // world_size()), world_size()):
            episode = config.sample(blocks, mask_id, words, episode_generator(seed, i, 0))
            if episode is None:
                raise RuntimeError("a pool that held enough words no longer does")
            right.append(_run(model, heads, inner, episode.to(model.device), config.n_way))
    finally:
        model.train(was_training)
    local = torch.stack(right)  # (episodes / W, curves)
    table = gather(local[None].contiguous()).transpose(0, 1).flatten(0, 1)[:episodes].cpu().numpy()
    accuracies = [_interval(column, seed) for column in table.T]
    steps = inner.steps_taken() + 1
    return Adaptation(
        n_way=config.n_way,
        k_shot=config.k_shot,
        episodes=episodes,
        chance=1 / config.n_way,
        prototypes=accuracies[0],
        fresh=accuracies[1 : 1 + steps],
        trained=accuracies[1 + steps :] if trained_head else None,
    )


@torch.no_grad()
def _run(
    model: PicoForMetaCausalLM, heads: dict[str, MetaHead], inner: InnerLoop, episode: Episode, ways: int
) -> Tensor:
    """(C,) query accuracies of one episode: prototypes, then each head after 0 to T inner steps."""
    # Through the model's own forward, so that FSDP gathers its shards.
    states = [model(examples.ids, keep_states=True).states for examples in (episode.support, episode.query)]
    support = read_states(states[0], episode.support, 0)
    query = read_states(states[1], episode.query, 0)
    labels, query_labels = episode.support.labels, episode.query.labels

    def accuracy(logits: Tensor) -> Tensor:
        return logits.argmax(-1).eq(query_labels).float().mean()

    found = [accuracy(prototype_logits(query, support, labels, ways))]
    for head in heads.values():
        start = inner.start(head, support, labels)
        rates = head.learning_rates(inner.lr)
        for fast in inner_loop(head, start, support, labels, inner.steps_taken(), rates):
            found.append(accuracy(functional_call(head, fast, (query,))))
    return torch.stack(found)


def _fresh_head(model: PicoForMetaCausalLM, config: EpisodeConfig, seed: int) -> MetaHead:
    shape = {name: model.config.meta_head[name] for name in ("layers", "hidden_dim")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = MetaHead(model.config.d_model, config.n_way, **shape, dropout=0.0)
        return head.apply(model._init_weights).to(model.device)


def _first_ways(model: PicoForMetaCausalLM, config: EpisodeConfig) -> MetaHead:
    """A copy of the model's head with its first N classes, whole on every process."""
    settings = model.config.meta_head
    steps = config.inner_loop().steps_taken()
    if 0 < settings.get("learned_lr_steps", 0) < steps:
        raise InputError(
            f"inner_steps is {steps}, but learning rates were learned for {settings['learned_lr_steps']}: lower it"
        )
    with torch.device("meta"):
        head = MetaHead(model.config.d_model, **{**settings, "ways": config.n_way})
    weights = {name: _whole(weight).float() for name, weight in model.meta_head.state_dict().items()}
    for part in ("weight", "bias"):
        weights[f"{head.output_layer}.{part}"] = weights[f"{head.output_layer}.{part}"][: config.n_way]
    head.load_state_dict(weights, assign=True)
    return head


def _whole(weight: Tensor) -> Tensor:
    return weight.full_tensor() if isinstance(weight, torch.distributed.tensor.DTensor) else weight


def _interval(values: np.ndarray, seed: int) -> Accuracy:
    """The mean over episodes and its 95 % percentile bootstrap interval, episodes resampled."""
    draws = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
    return Accuracy(float(values.mean()), float(low), float(high))


def adaptation_table(results: Sequence[Adaptation]) -> str:
    """One line an episode shape: query accuracy in percent with its interval."""
    header = (
        f"{'N-way':>6}{'K-shot':>7}{'chance':>8}{'prototypes':>20}{'fresh head':>20}{'trained head':>20}{'gain':>8}"
    )
    lines = [header]
    for result in results:
        cells = [result.prototypes, result.fresh[-1]]
        shown = "".join(f"{_percent(accuracy):>20}" for accuracy in cells)
        if result.trained is None:
            shown += f"{'-':>20}{'-':>8}"
        else:
            gain = result.trained[-1].mean - result.trained[0].mean
            shown += f"{_percent(result.trained[-1]):>20}{gain:>+8.1%}"
        lines.append(f"{result.n_way:>6}{result.k_shot:>7}{result.chance:>8.1%}{shown}")
    return "\n".join(lines)


def _percent(accuracy: Accuracy) -> str:
    return f"{accuracy.mean:.1%} [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]"
