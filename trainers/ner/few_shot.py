"""Few-shot NER: how well a pretrained model tags after K mentions of every class, without a validation split."""

import copy
from functools import partial
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase, TrainerCallback, set_seed

from ...modeling_pico import PicoForTokenClassification
from ..errors import InputError
from ..tuning.few_shot import FewShotScore, full_args, head, score_draws
from .alignment import gold_tags
from .entity_counts import micro_f1, sentence_counts
from .features import Features, feature_rows
from .fine_tuning import configure, fine_tune, prepare
from .frozen_split import FrozenSplit
from .labels import classes_of, tags_of
from .ner_config import NERConfig
from .shots import draw_sentences


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
    tags = gold_tags(treebank["train"])
    known = {tag[2:] for row in tags for tag in row}
    # A class that only another split has cannot be learned from any number of shots.
    classes = [label for label in classes_of(tags_of(treebank["train"])) if label in known]
    chosen = {(k, draw): draw_sentences(tags, k, draw, classes) for k in shots for draw in range(draws)}
    scores = []
    if on_features := [method for method in methods if method != "full"]:
        configure(model, tokenizer, args)
        frozen = _Frozen(model, tokenizer, {"train": treebank["train"], **test_sets}, args, features_dir)
        scores += score_draws(chosen, {method: partial(frozen.score, method) for method in on_features}, _score)
    if "full" in methods:
        train = partial(_full, model, tokenizer, treebank["train"], test_sets, args)
        scores += score_draws(chosen, {"full": train}, _score)
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
        classify = head(method, *self.train.flat(chosen), len(self.train.names), self.layers)
        return {name: test.counts(classify, self.decoding) for name, test in self.tests.items()}


def _full(
    model: PicoForTokenClassification,
    tokenizer: PreTrainedTokenizerBase,
    train: Dataset,
    test_sets: dict[str, Dataset],
    args: NERConfig,
    chosen: list[int],
) -> dict[str, np.ndarray]:
    """(S, 3) entities of each test set's sentences after training a copy of the model on the chosen ones."""
    args = full_args(args)
    set_seed(args.seed)
    quiet = TrainerCallback()  # in place of a progress bar for every draw
    few = DatasetDict(train=train.select(chosen))
    tuned = fine_tune(copy.deepcopy(model), tokenizer, few, args, test_sets, progress=quiet)
    return {name: sentence_counts(gold_tags(rows), tuned.tags[name]) for name, rows in test_sets.items()}
