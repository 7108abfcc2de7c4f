"""Query accuracy on episodes of held-out words and text."""

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
from ..process_group import rank, whole, world_size
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
    """Query accuracies on held-out episodes of one shape."""

    n_way: int
    k_shot: int
    episodes: int
    chance: float  #: 1 / N
    prototypes: Accuracy  #: of the nearest class prototype, the baseline without a head
    trained: list[Accuracy] | None  #: of the model's head after 0, 1, ..., T inner steps; None without a trained head
    fresh: list[Accuracy]  #: of a newly initialised head of that shape, to tell features and head apart


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
    """Adapt heads to episodes drawn from held-out text, without dropout, and leave the model unchanged.

    Args:
        model: its mode is restored. A head with more classes than `config.n_way` is cut to its first ones (the order
            of classes is random in SMLMT episodes); one with fewer is not evaluated.
        blocks: (R, T) held-out token ids; every episode is drawn from all of them.
        words: which ids may be classes, usually the held-out words.
        mask_id: mask token of the tokenizer.
        config: the episodes and the inner loop.
        episodes: number of episodes over all processes.
        seed: gives the same episodes and the same fresh head for every model.
        trained_head: evaluate the model's own head too.

    Raises:
        InputError: the blocks have too few words, or the head learned rates for fewer inner steps.
    """
    config.check_pool(blocks, mask_id, words)
    trained_head = trained_head and config.n_way <= model.config.meta_head["ways"]
    heads = {"fresh": _fresh_head(model, config, seed)}
    if trained_head:
        heads["trained"] = _first_ways(model, config)
    inner = config.inner_loop()
    correct: list[Tensor] = []
    was_training = model.training
    model.eval()
    try:
        # Every process runs the same number of episodes, as FSDP requires; surplus ones are cut off below.
        for i in range(rank(), world_size() * -(-episodes // world_size()), world_size()):
            episode = config.sample(blocks, mask_id, words, episode_generator(seed, i, 0))
            if episode is None:
                raise RuntimeError("no episode from a pool that has enough words")
            correct.append(_query_accuracies(model, heads, inner, episode.to(model.device), config.n_way))
    finally:
        model.train(was_training)
    local = torch.stack(correct)  # (episodes / W, curves)
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
def _query_accuracies(
    model: PicoForMetaCausalLM, heads: dict[str, MetaHead], inner: InnerLoop, episode: Episode, ways: int
) -> Tensor:
    """Return (C,) query accuracies of an episode: prototypes, then each head after 0 to T inner steps."""
    # The model's own forward makes FSDP gather the shards.
    support, query = (
        read_states(model(examples.ids, keep_states=True).states, examples, 0)
        for examples in (episode.support, episode.query)
    )
    labels, query_labels = episode.support.labels, episode.query.labels

    def accuracy(logits: Tensor) -> Tensor:
        return logits.argmax(-1).eq(query_labels).float().mean()

    accuracies = [accuracy(prototype_logits(query, support, labels, ways))]
    for head in heads.values():
        start = inner.start(head, support, labels)
        rates = head.learning_rates(inner.lr)
        for fast in inner_loop(head, start, support, labels, inner.steps_taken(), rates):
            accuracies.append(accuracy(functional_call(head, fast, (query,))))
    return torch.stack(accuracies)


def _fresh_head(model: PicoForMetaCausalLM, config: EpisodeConfig, seed: int) -> MetaHead:
    shape = {name: model.config.meta_head[name] for name in ("layers", "hidden_dim")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = MetaHead(model.config.d_model, config.n_way, **shape, dropout=0.0)
        return head.apply(model._init_weights).to(model.device)


def _first_ways(model: PicoForMetaCausalLM, config: EpisodeConfig) -> MetaHead:
    """Copy the model's head with its first N classes, unsharded."""
    settings = model.config.meta_head
    steps, learned_steps = config.inner_loop().steps_taken(), settings.get("learned_lr_steps", 0)
    if 0 < learned_steps < steps:
        raise InputError(f"inner_steps is {steps}, but learning rates were learned for {learned_steps}: lower it")
    with torch.device("meta"):
        head = MetaHead(model.config.d_model, **{**settings, "ways": config.n_way})
    weights = {name: whole(weight).float() for name, weight in model.meta_head.state_dict().items()}
    for part in ("weight", "bias"):
        weights[f"{head.output_layer}.{part}"] = weights[f"{head.output_layer}.{part}"][: config.n_way]
    head.load_state_dict(weights, assign=True)
    return head


def _interval(values: np.ndarray, seed: int) -> Accuracy:
    """Return the mean and its 95 % percentile bootstrap interval over (E,) episodes."""
    draws = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
    return Accuracy(float(values.mean()), float(low), float(high))


def adaptation_table(results: Sequence[Adaptation]) -> str:
    """Format one line an episode shape: query accuracies in percent with their intervals."""
    lines = [
        f"{'N-way':>6}{'K-shot':>7}{'chance':>8}{'prototypes':>20}{'fresh head':>20}{'trained head':>20}{'gain':>8}"
    ]
    for result in results:
        trained, gain = "-", "-"
        if result.trained is not None:
            trained = _percent(result.trained[-1])
            gain = f"{result.trained[-1].mean - result.trained[0].mean:+.1%}"
        shape = f"{result.n_way:>6}{result.k_shot:>7}{result.chance:>8.1%}"
        baselines = f"{_percent(result.prototypes):>20}{_percent(result.fresh[-1]):>20}"
        lines.append(f"{shape}{baselines}{trained:>20}{gain:>8}")
    return "\n".join(lines)


def _percent(accuracy: Accuracy) -> str:
    return f"{accuracy.mean:.1%} [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]"
