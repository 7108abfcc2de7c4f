"""Few-shot NER: how well a pretrained model tags after K mentions of every class, without a validation split."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset, DatasetDict
from scipy import stats
from torch import Tensor
from transformers import PreTrainedTokenizerBase, TrainerCallback, set_seed

from ...modeling_pico import PicoForTokenClassification
from ..errors import InputError
from .alignment import gold_tags
from .entity_counts import micro_f1, sentence_counts
from .features import Features, feature_rows
from .fine_tuning import configure, fine_tune, prepare
from .frozen_split import Classifier, FrozenSplit
from .labels import classes_of, tags_of
from .logistic_head import fit, mean_and_deviation
from .ner_config import NERConfig
from .shots import draw_sentences

METHODS = ("linear", "prototypes", "full")
# The only penalty of the linear head: choosing one would need labelled sentences beyond the K mentions.
PENALTY = 1e-3
# Of cosines before the softmax; it matters to the decoding of sequences alone.
TEMPERATURE = 10


@dataclass(frozen=True)
class FewShotScore:
    """F1 of a test set after training on the sentences of a draw."""

    method: str
    shots: int
    draw: int
    sentences: int
    test: str
    f1: float
    counts: np.ndarray | None = None  #: (S, 3) correct, predicted and gold entities of each test sentence


def few_shot(
    model: PicoForTokenClassification,
    tokenizer: PreTrainedTokenizerBase,
    treebank: DatasetDict,
    test_sets: dict[str, Dataset],
    args: NERConfig,
    methods: list[str],
    shots: list[int],
    draws: int,
    features_dir: Path | None = None,
) -> list[FewShotScore]:
    """Score every method on the same draws of sentences from `train`; the validation split is not looked at.

    Args:
        model: a token classifier as for `fine_tune`; it is left as it was.
        methods: `linear`, a logistic head on frozen features; `prototypes`, the nearest mean of a tag's standardised
            features by cosine (Snell et al. 2017); `full`, all weights by the learning rate and epochs of `args`.
        shots: K, mentions of each class.
        draws: of sentences, for each K.

    Raises:
        InputError: there is no train split, or a class has too few mentions.
    """
    if "train" not in treebank:
        raise InputError(f"few shots are drawn from a train split, the treebank has only {', '.join(treebank)}")
    tags, classes = gold_tags(treebank["train"]), classes_of(tags_of(treebank["train"]))
    chosen = {(k, draw): draw_sentences(tags, k, draw, classes) for k in shots for draw in range(draws)}
    scores = []
    if {"linear", "prototypes"} & set(methods):
        configure(model, tokenizer, args)
        frozen = _Frozen(model, tokenizer, {"train": treebank["train"], **test_sets}, args, features_dir)
        for (k, draw), rows in chosen.items():
            for method in (method for method in methods if method != "full"):
                for test, counts in frozen.score(method, rows).items():
                    scores.append(_score(method, k, draw, len(rows), test, counts))
    if "full" in methods:
        for (k, draw), rows in chosen.items():
            for test, counts in _full(model, tokenizer, treebank["train"].select(rows), test_sets, args).items():
                scores.append(_score("full", k, draw, len(rows), test, counts))
    return scores


def _score(method: str, shots: int, draw: int, sentences: int, test: str, counts: np.ndarray) -> FewShotScore:
    return FewShotScore(method, shots, draw, sentences, test, float(micro_f1(counts.sum(0))), counts)


class _Frozen:
    """Heads on features of a frozen decoder, which encodes every sentence once."""

    def __init__(
        self,
        model: PicoForTokenClassification,
        tokenizer: PreTrainedTokenizerBase,
        splits: dict[str, Dataset],
        args: NERConfig,
        features_dir: Path | None,
    ) -> None:
        self.decoding = args.tag_decoding
        self.layers = model.config.n_layers + 1 if args.features == "mix" else 0
        model.base_model.to(args.device)
        features = Features(model.base_model, model.config.classifier_features, features_dir)
        self.tests = {}
        for name, rows in splits.items():
            aligned = prepare(rows, tokenizer, model.config.max_seq_len, args)
            self.tests[name] = FrozenSplit.of(feature_rows(aligned, features.encode(aligned)), aligned)
        self.train = self.tests.pop("train")

    def score(self, method: str, chosen: list[int]) -> dict[str, np.ndarray]:
        """(S, 3) entities of each test set's sentences after training on the chosen ones (see `sentence_counts`)."""
        features, labels = self.train.flat(chosen)
        count = len(self.train.names)
        if method == "linear":
            classify: Classifier = fit(features, labels, count, lambda head: 0.0, self.layers, (PENALTY,))
        else:
            classify = nearest_prototype(features, labels, count)
        return {name: test.counts(classify, self.decoding) for name, test in self.tests.items()}


def nearest_prototype(features: Tensor, labels: Tensor, count: int) -> Classifier:
    """Classify by the cosine to the mean of each tag's standardised features; tags without an example never win."""
    mean, deviation = mean_and_deviation(features)
    standard = (features - mean) / deviation
    sums = torch.zeros(count, features.shape[1]).index_add(0, labels, standard)
    prototypes, absent = F.normalize(sums, dim=-1), torch.bincount(labels, minlength=count) == 0

    def classify(features: Tensor) -> Tensor:
        cosine = F.normalize((features - mean) / deviation, dim=-1) @ prototypes.T
        return (TEMPERATURE * cosine).masked_fill(absent, -torch.inf)

    return classify


def _full(
    model: PicoForTokenClassification,
    tokenizer: PreTrainedTokenizerBase,
    train: Dataset,
    test_sets: dict[str, Dataset],
    args: NERConfig,
) -> dict[str, np.ndarray]:
    """(S, 3) entities of each test set's sentences after training a copy of the model on a few."""
    args = copy.copy(args)
    args.mode, args.chosen_epoch, args.head_solver = "full", "last", "adamw"
    set_seed(args.seed)
    quiet = TrainerCallback()  # in place of a progress bar for every draw
    tuned = fine_tune(copy.deepcopy(model), tokenizer, DatasetDict(train=train), args, test_sets, progress=quiet)
    return {name: sentence_counts(gold_tags(rows), tuned.tags[name]) for name, rows in test_sets.items()}


def curve(scores: list[FewShotScore], confidence: float = 0.95) -> list[dict[str, Any]]:
    """Mean F1 over draws with its t interval, by test set, method and K: rows for a table."""
    found: dict[tuple[str, str, int], list[float]] = {}
    for score in scores:
        found.setdefault((score.test, score.method, score.shots), []).append(score.f1)
    rows = []
    for (test, method, shots), values in found.items():
        mean, error = float(np.mean(values)), stats.sem(values) if len(values) > 1 else np.nan
        half = float(stats.t.ppf((1 + confidence) / 2, max(len(values) - 1, 1)) * error)
        rows.append(
            {
                "test": test,
                "method": method,
                "shots": shots,
                "draws": len(values),
                "f1": mean,
                "low": mean - half,
                "high": mean + half,
            }
        )
    return rows
