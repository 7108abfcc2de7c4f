"""Few-shot classification: how well a pretrained model does after K texts of every class."""

import copy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase, TrainerCallback, set_seed

from ...modeling_pico import PicoForSequenceClassification
from ..errors import InputError
from ..tuning.few_shot import FewShotScore, full_args, head, score_draws
from ..tuning.trainer import set_up
from .classification_config import ClassificationConfig
from .features import encode
from .fine_tuning import fine_tune, prepare
from .texts import classes_of


@dataclass(frozen=True)
class TextScore(FewShotScore):
    """Scores of the test split after training on a draw; `counts` are gold and predicted classes (N, 2)."""

    accuracy: float = 0.0
    matthews: float = 0.0


def few_shot(
    model: PicoForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    splits: DatasetDict,
    args: ClassificationConfig,
    methods: list[str],
    shots: list[int],
    draws: int,
) -> list[FewShotScore]:
    """Score every method on the same draws of texts from `train`; the validation split is not looked at.

    Args:
        model: a classifier as for `fine_tune`; it is left as it was.
        methods: `linear`, a logistic head on frozen features; `prototypes`, the nearest mean of a class; `full`, all
            weights by the learning rate and epochs of `args`.
        shots: K, texts of each class.
        draws: of texts, for each K.

    Raises:
        InputError: there is no test split, or a class has too few texts.
    """
    if "test" not in splits:
        raise InputError(f"few shots are scored on a test split, but there is only {', '.join(splits)}: add one")
    test, labels, names = splits["test"], list(splits["train"]["label"]), classes_of(splits["train"])
    drawn = {(k, draw): draw_texts(labels, names, k, draw) for k in shots for draw in range(draws)}
    # Only texts that some draw has are encoded.
    place = {row: i for i, row in enumerate(sorted({row for rows in drawn.values() for row in rows}))}
    train = splits["train"].select(place)
    chosen = {key: [place[row] for row in rows] for key, rows in drawn.items()}
    scores = []
    if on_features := [method for method in methods if method != "full"]:
        set_up(model, tokenizer, args)
        frozen = _Frozen(model, tokenizer, train, test, args)
        scores += score_draws(chosen, {method: partial(frozen.outcomes, method) for method in on_features}, _score)
    if "full" in methods:
        outcomes = partial(_full, model, tokenizer, train, test, args)
        scores += score_draws(chosen, {"full": outcomes}, _score)
    return scores


def draw_texts(labels: list[int], names: list[str], shots: int, draw: int) -> list[int]:
    """Indices of K texts of every class; those of a smaller K are among those of a larger one.

    Args:
        labels: class of each text.
        names: of the classes.
        shots: K.
        draw: seed; with the same labels, K and draw the texts are the same, whatever the model.

    Raises:
        InputError: a class has fewer than K texts.
    """
    if few := [f"{name} ({labels.count(i)})" for i, name in enumerate(names) if labels.count(i) < shots]:
        raise InputError(f"{shots} shots, but train has fewer texts of {', '.join(few)}: lower shots")
    order = np.random.default_rng(draw).permutation(len(labels)).tolist()
    of_class = [[i for i in order if labels[i] == label][:shots] for label in range(len(names))]
    return [i for rows in of_class for i in rows]


class _Frozen:
    """Heads on features of a frozen decoder, which encodes every text once."""

    def __init__(
        self,
        model: PicoForSequenceClassification,
        tokenizer: PreTrainedTokenizerBase,
        train: Dataset,
        test: Dataset,
        args: ClassificationConfig,
    ) -> None:
        self.layers = model.config.n_layers + 1 if args.features == "mix" else 0
        self.classes = model.num_labels
        model.base_model.to(args.device)
        self.train, self.test = (encode(model, prepare(rows, model, tokenizer, args)) for rows in (train, test))
        self.labels, self.gold = torch.tensor(train["label"]), np.array(test["label"])

    def outcomes(self, method: str, chosen: list[int]) -> dict[str, np.ndarray]:
        """(N, 2) gold and predicted class of the test texts after training on the chosen ones."""
        classify = head(method, self.train[chosen], self.labels[chosen], self.classes, self.layers)
        return {"test": np.stack([self.gold, classify(self.test).argmax(-1).numpy()], 1)}


def _full(
    model: PicoForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    train: Dataset,
    test: Dataset,
    args: ClassificationConfig,
    chosen: list[int],
) -> dict[str, np.ndarray]:
    """(N, 2) gold and predicted class of the test texts after training a copy of the model on the chosen ones."""
    args = full_args(args)
    set_seed(args.seed)
    few = DatasetDict(train=train.select(chosen), test=test)
    quiet = TrainerCallback()  # in place of a progress bar for every draw
    tuned = fine_tune(copy.deepcopy(model), tokenizer, few, args, progress=quiet)
    return {"test": np.stack([np.array(test["label"]), tuned.predictions["test"]], 1)}


def _score(method: str, shots: int, draw: int, texts: int, test: str, outcomes: np.ndarray) -> TextScore:
    from .scores import class_scores

    return TextScore(method, shots, draw, texts, test, counts=outcomes, **class_scores(*outcomes.T))
