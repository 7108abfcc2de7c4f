"""Query accuracy on episodes of held-out words and text."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from ..corpus.form_table import Words
from ..episodes import Episode, episode_generator
from ..errors import InputError
from ..process_group import rank, whole, world_size
from .crossed_interval import Interval, crossed_interval
from .episode_config import EpisodeConfig
from .episode_loss import InnerLoop
from .episode_model import EpisodeModel, read_states
from .inner_loop import MetaHead, draw_head, inner_loop, prototype_logits

# In place of the answers to queries that an episode does not have.
ABSENT = -1


@dataclass(frozen=True)
class Adaptation:
    """Query accuracies on held-out episodes of one shape, with 95 % intervals over words and documents."""

    n_way: int
    k_shot: int
    episodes: int
    chance: float  #: 1 / N
    prototypes: Interval  #: of the nearest class prototype, the baseline without a head
    trained: list[Interval] | None  #: of the model's head after 0, 1, ..., T inner steps; None without a trained head
    fresh: list[Interval]  #: of a newly initialised head of that shape, to tell features and head apart
    differences: dict[str, Interval]  #: on the same queries, after the inner loop: `trained - fresh` and the like
    words_available: int  #: words of the text with enough windows to be a class
    words: int  #: different words among the queries
    documents: int  #: different documents among the queries
    #: of each query its word, its document, and 1 for a right answer of each classifier after the inner loop, else 0
    queries: dict[str, list[int]] = field(repr=False)

    def figures(self) -> dict[str, Any]:
        """Everything but the queries, as a dictionary."""
        figures = asdict(self)
        del figures["queries"]
        return figures


def evaluate_adaptation(
    model: EpisodeModel,
    blocks: Tensor,
    words: Words,
    mask_id: int,
    config: EpisodeConfig,
    episodes: int,
    seed: int = 0,
    trained_head: bool = True,
    documents: Tensor | None = None,
) -> Adaptation:
    """Adapt heads to episodes drawn from held-out text, without dropout, and leave the model unchanged.

    Args:
        model: its mode is restored. A head with more classes than `config.n_way` is cut to its first ones (the order
            of classes is random in SMLMT episodes); one with fewer is not evaluated.
        blocks: (R, T) held-out token ids; every episode is drawn from all of them.
        words: which words may be classes, usually the held-out words.
        mask_id: mask token of the tokenizer.
        config: the episodes and the inner loop.
        episodes: number of episodes over all processes.
        seed: gives the same episodes and the same fresh head for every model.
        trained_head: evaluate the model's own head too, unless it tells classes of words.
        documents: (R, T) document numbers of the token ids; None if each block is a document of its own.

    Raises:
        InputError: the blocks have too few words, or the head learned rates for fewer inner steps.
    """
    available = config.check_pool(blocks, mask_id, words, documents)

    def draw(generator: torch.Generator) -> Episode | None:
        return config.sample(blocks, mask_id, words, generator, documents)

    heads = heads_to_adapt(model, config, seed, trained_head)
    table = query_outcomes(model, heads, draw, config, episodes, seed)
    return summarise(table, heads, config, episodes, available, 1 / config.n_way)


def heads_to_adapt(model: EpisodeModel, config: EpisodeConfig, seed: int, trained: bool) -> dict[str, MetaHead]:
    """Return a fresh head of N classes and, if it is `trained` and has as many, the model's own, cut to N classes."""
    heads = {"fresh": _fresh_head(model, config, seed)}
    if trained and model.head_tells_words and config.n_way <= model.config.meta_head["ways"]:
        heads["trained"] = _first_ways(model, config)
    return heads


def query_outcomes(
    model: EpisodeModel,
    heads: dict[str, MetaHead],
    draw: Callable[[torch.Generator], Episode | None],
    config: EpisodeConfig,
    episodes: int,
    seed: int,
) -> np.ndarray:
    """Adapt heads to `episodes` episodes over all processes, without dropout, and leave the model unchanged.

    Returns:
        (2 + C, P) for all queries of all episodes: word and document, then one row of right answers a curve point,
        those of prototypes and then of each head after 0 to T inner steps.
    """
    inner, most = config.inner_loop(), config.n_way * config.n_query
    outcomes: list[Tensor] = []
    was_training = model.training
    model.eval()
    try:
        # Every process runs the same number of episodes, as FSDP requires; surplus ones are cut off below.
        for i in range(rank(), world_size() * -(-episodes // world_size()), world_size()):
            episode = draw(episode_generator(seed, i, 0))
            if episode is None:
                raise RuntimeError("no episode from a pool that has enough words")
            rows = _outcomes(model, heads, inner, episode.to(model.device), config.n_way)
            outcomes.append(F.pad(rows, (0, most - rows.shape[1]), value=ABSENT))  # an episode of fewer classes
    finally:
        model.train(was_training)
    local = torch.stack(outcomes)  # (episodes / W, 2 + C, M)
    table = gather(local[None].contiguous()).transpose(0, 1).flatten(0, 1)[:episodes].transpose(0, 1).flatten(1)
    return table[:, table[-1] != ABSENT].cpu().numpy()


def summarise(
    table: np.ndarray, heads: dict[str, MetaHead], config: EpisodeConfig, episodes: int, available: int, chance: float
) -> Adaptation:
    """Summarise what `query_outcomes` returned; `available` words can be classes, `chance` is a guess's accuracy."""
    (word, document), correct = table[:2], table[2:]
    points = [crossed_interval(row, word, document) for row in correct]
    steps, trained_head = config.inner_loop().steps_taken() + 1, "trained" in heads
    last = {"prototypes": 0, "fresh": steps} | ({"trained": 2 * steps} if trained_head else {})
    pairs = [("fresh", "prototypes"), *((("trained", "prototypes"), ("trained", "fresh")) if trained_head else ())]
    return Adaptation(
        n_way=config.n_way,
        k_shot=config.k_shot,
        episodes=episodes,
        chance=chance,
        prototypes=points[0],
        fresh=points[1 : 1 + steps],
        trained=points[1 + steps :] if trained_head else None,
        differences={
            f"{a} - {b}": crossed_interval(correct[last[a]] - correct[last[b]], word, document) for a, b in pairs
        },
        words_available=available,
        words=len(np.unique(word)),
        documents=len(np.unique(document)),
        queries={"word": word.tolist(), "document": document.tolist()}
        | {name: correct[row].tolist() for name, row in last.items()},
    )


@torch.no_grad()
def _outcomes(
    model: EpisodeModel, heads: dict[str, MetaHead], inner: InnerLoop, episode: Episode, ways: int
) -> Tensor:
    """Return (2 + C, M) rows of an episode: word and document of each query, then which queries are answered rightly.

    The C rows of answers are those of prototypes, then of each head after 0 to T inner steps.
    """
    # The model's own forward makes FSDP gather the shards.
    support, query = (
        read_states(model(examples.ids, keep_states=True).states, examples, 0)
        for examples in (episode.support, episode.query)
    )
    labels, query_labels = episode.support.labels, episode.query.labels

    def correct(logits: Tensor) -> Tensor:
        return logits.argmax(-1).eq(query_labels)

    prototypes = prototype_logits(query, support, labels, ways if episode.ways is None else episode.ways)
    rows = [episode.words[query_labels], episode.query.documents, correct(prototypes)]
    for head in heads.values():
        start = head.first_outputs(inner.start(head, support, labels), episode.ways)
        rates = head.learning_rates(inner.lr)
        for fast in inner_loop(head, start, support, labels, inner.steps_taken(), rates):
            rows.append(correct(functional_call(head, fast, (query,))))
    return torch.stack([row.long() for row in rows])


def _fresh_head(model: EpisodeModel, config: EpisodeConfig, seed: int) -> MetaHead:
    shape = {name: model.config.meta_head[name] for name in ("layers", "hidden_dim") if model.head_tells_words}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = MetaHead(model.config.hidden_size, config.n_way, **shape, dropout=0.0)
        return draw_head(head, model.config.vocab_size).to(model.device)


def _first_ways(model: EpisodeModel, config: EpisodeConfig) -> MetaHead:
    """Copy the model's head with its first N classes, unsharded."""
    settings = model.config.meta_head
    steps, learned_steps = config.inner_loop().steps_taken(), settings.get("learned_lr_steps", 0)
    if 0 < learned_steps < steps:
        raise InputError(f"inner_steps is {steps}, but learning rates were learned for {learned_steps}: lower it")
    with torch.device("meta"):
        head = MetaHead(model.config.hidden_size, **{**settings, "ways": config.n_way})
    weights = {name: whole(weight).float() for name, weight in model.meta_head.state_dict().items()}
    for part in ("weight", "bias"):
        weights[f"{head.output_layer}.{part}"] = weights[f"{head.output_layer}.{part}"][: config.n_way]
    head.load_state_dict(weights, assign=True)
    return head


def adaptation_table(results: Sequence[Adaptation]) -> str:
    """Format one line an episode shape: query accuracies in percent with their intervals."""
    lines = [
        f"{'N-way':>6}{'K-shot':>7}{'chance':>8}{'prototypes':>22}{'fresh head':>22}{'trained head':>22}{'gain':>8}"
    ]
    for result in results:
        trained, gain = "-", "-"
        if result.trained is not None:
            trained = _percent(result.trained[-1])
            gain = f"{result.trained[-1].mean - result.trained[0].mean:+.1%}"
        shape = f"{result.n_way:>6}{result.k_shot:>7}{result.chance:>8.1%}"
        baselines = f"{_percent(result.prototypes):>22}{_percent(result.fresh[-1]):>22}"
        lines.append(f"{shape}{baselines}{trained:>22}{gain:>8}")
    return "\n".join(lines)


def _percent(accuracy: Interval) -> str:
    return f"{accuracy.mean:.1%} [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]"
