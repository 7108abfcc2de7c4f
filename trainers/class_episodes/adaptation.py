"""How well the head of class episodes tells the classes of words, with and without its support set."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from ..corpus.document_numbers import own_numbers
from ..corpus.form_table import FormTable
from ..meta.crossed_interval import Interval, crossed_interval
from ..meta.episode_loss import InnerLoop
from ..meta.episode_model import EpisodeModel
from ..meta.inner_loop import MetaHead, adapt_head
from ..word_classes import WordClasses, spelling_table
from .config import ClassEpisodeConfig
from .episode import ClassStates
from .loss import add_up

# Tokens of the text of an episode, and of a forward pass.
EPISODE_TOKENS, TOKENS_PER_PASS = 16_384, 4096
BEFORE, AFTER, SHUFFLED = "before", "after", "shuffled"
GROUPS = ("training words", "held-out words", "held-out classes")


@dataclass(frozen=True)
class ClassAccuracy:
    """Accuracies on one group of queries, with 95 % intervals over words and documents.

    Attributes:
        group: `training words`, `held-out words` (of training classes), or words of `held-out classes`.
        queries, words: their number.
        chance: share of the queries' most frequent class, the accuracy of always answering with it.
        before: without the support set; None for prototypes, which are nothing without it.
        after: with the support set, other words of the same text; None for a head without an inner loop.
        shuffled: after support sets whose words have changed labels; at chance if the head goes by its support set.
    """

    group: str
    queries: int
    words: int
    chance: float
    before: Interval | None
    after: Interval | None
    shuffled: Interval | None


@torch.no_grad()
def class_accuracies(
    model: EpisodeModel,
    blocks: Tensor,
    documents: Tensor | None,
    tokenizer: PreTrainedTokenizerBase,
    classes: WordClasses,
    seed: int = 0,
) -> list[ClassAccuracy]:
    """Measure the model's own head on held-out text; groups without queries are missing.

    Support words are half of the training words of a piece of the text, and for held-out classes half of their words.
    Only classes that the support set has are asked for. Prototypes come from this support set, not from the memory of
    training.

    Args:
        model: its head tells classes of words; its configuration records how it was trained.
        blocks: (R, T) token ids.
        documents: (R, T) document numbers; None if each block is a document of its own.
        tokenizer: that of the model.
        classes: of the run, not shuffled.
        seed: of the sides of words, and of the shuffled labels.
    """
    config, own = _recorded(model), model.config.to_dict()["episode"]
    if own.get("episode_labels") == "shuffled":
        classes = classes.shuffled(own["classes_seed"])
    table = spelling_table(tokenizer, model.config.vocab_size, config.held_out_rule)
    documents = own_numbers(blocks) if documents is None else documents
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[Tensor]] = defaultdict(list)
    was_training = model.training
    model.eval()
    rows = max(1, EPISODE_TOKENS // blocks.shape[1])
    for part, numbers in zip(blocks.split(rows), documents.split(rows), strict=True):
        encoded = _encoded(model, part, config.class_layer)
        for group, support, queries in _episodes(part, table, classes, config, generator):
            asked = queries.where(torch.isin(queries.classes, support.classes))
            if len(asked):
                about = [asked.words, numbers[asked.rows, asked.positions].cpu(), asked.classes]
                right = _right_answers(model, encoded, support, asked, config, generator)
                found[group].append(torch.stack([*about, *right]))
    model.train(was_training)
    return [_summary(group, torch.cat(found[group], 1).numpy(), config) for group in GROUPS if group in found]


def _recorded(model: EpisodeModel) -> ClassEpisodeConfig:
    known = {f.name for f in fields(ClassEpisodeConfig)}
    own = model.config.to_dict()["episode"].items()
    return ClassEpisodeConfig(**{name: value for name, value in own if name in known})


def _episodes(
    rows: Tensor, table: FormTable, classes: WordClasses, config: ClassEpisodeConfig, generator: torch.Generator
) -> Iterator[tuple[str, ClassStates, ClassStates]]:
    """Yield each group with its support set and queries, no word in both."""
    training, held_out = table.split(config.held_out_words)
    trained, new = classes.split_classes(config.held_out_classes)
    states = ClassStates.find(rows, training, trained)
    side = states.random_sides(generator)
    support = states.where(~side)
    yield GROUPS[0], support, states.where(side)
    yield GROUPS[1], support, ClassStates.find(rows, held_out, trained)
    states = ClassStates.find(rows, table, new)
    side = states.random_sides(generator)
    yield GROUPS[2], support.join(states.where(~side)), states.where(side)


def _right_answers(
    model: EpisodeModel,
    encoded: Tensor,
    support: ClassStates,
    queries: ClassStates,
    config: ClassEpisodeConfig,
    generator: torch.Generator,
) -> list[Tensor]:
    """For each kind of answer (Q,) 1 or 0 for right or wrong, with states (R, T, D) of the text."""
    known, asked = (model.project(encoded[part.rows, part.positions].float()) for part in (support, queries))
    head, inner = model.meta_head, config.inner_loop()
    logits = [] if config.meta_algorithm == "protonet" else [head(asked)]
    if config.meta_algorithm != "direct":
        for labels in (support.classes, _shuffled(support, generator)):
            logits.append(_adapted(head, inner, known, labels.to(known.device), asked, model.config.meta_head["ways"]))
    return [each.argmax(-1).cpu().eq(queries.classes).long() for each in logits]


def _encoded(model: EpisodeModel, rows: Tensor, layer: int) -> Tensor:
    """(R, T, D) states of a layer, of token ids (R, T)."""
    states = []
    for part in rows.to(model.device).split(max(1, TOKENS_PER_PASS // rows.shape[1])):
        states.append(model.layer_states(part, layer))
    return torch.cat(states)


def _adapted(
    head: MetaHead, inner: InnerLoop, support: Tensor, labels: Tensor, queries: Tensor, n_classes: int
) -> Tensor:
    """(Q, C) logits of queries (Q, W) after a support set (P, W) with labels (P,)."""
    if inner.algorithm == "maml":
        rates = head.learning_rates(inner.lr)
        return functional_call(head, adapt_head(head, support, labels, inner.steps, rates), (queries,))
    prototypes, _ = add_up(F.normalize(support, dim=-1), torch.zeros_like(labels), labels, n_classes)
    logits = F.normalize(queries, dim=-1) @ F.normalize(prototypes, dim=-1).T
    return logits.masked_fill(torch.bincount(labels, minlength=n_classes) == 0, -torch.inf)


def _shuffled(support: ClassStates, generator: torch.Generator) -> Tensor:
    """(P,) labels of a support set whose words have changed labels."""
    words, which = torch.unique(support.words, return_inverse=True)
    labels = torch.empty_like(words)
    labels[which] = support.classes
    return labels[torch.randperm(len(words), generator=generator)][which]


def _summary(group: str, table: np.ndarray, config: ClassEpisodeConfig) -> ClassAccuracy:
    word, document, label, *answers = table
    names = {"protonet": (AFTER, SHUFFLED), "direct": (BEFORE,)}.get(config.meta_algorithm, (BEFORE, AFTER, SHUFFLED))
    intervals = {name: crossed_interval(row, word, document) for name, row in zip(names, answers, strict=True)}
    chance = float(np.unique(label, return_counts=True)[1].max() / len(label))
    shown = (intervals.get(name) for name in (BEFORE, AFTER, SHUFFLED))
    return ClassAccuracy(group, len(label), len(np.unique(word)), chance, *shown)


def class_table(accuracies: Sequence[ClassAccuracy]) -> str:
    """Format one line a group: accuracies in percent with their intervals."""
    lines = [f"{'queries':<18}{'words':>7}{'chance':>8}{'before':>22}{'after':>22}{'shuffled support':>22}"]
    for it in accuracies:
        cells = "".join(f"{_percent(interval):>22}" for interval in (it.before, it.after, it.shuffled))
        lines.append(f"{it.group:<18}{it.words:>7}{it.chance:>8.1%}{cells}")
    return "\n".join(lines)


def _percent(accuracy: Interval | None) -> str:
    if accuracy is None:
        return "-"
    return f"{accuracy.mean:.1%} [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]"
