"""Fine-tune to classify texts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import DatasetDict
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase
from transformers.hf_argparser import HfArg

from ...callbacks import ProgressCallback
from ...modeling_pico import PicoForSequenceClassification
from ...trainers import InputError
from ...trainers.checks import check_choice
from ...trainers.classification import ClassificationConfig, FineTuned, TextFormat, fine_tune, load_texts
from ...trainers.classification.baselines import baseline_scores
from ...trainers.classification.few_shot import few_shot
from ...trainers.classification.texts import classes_of, describe
from ...trainers.ner import label_names
from ...trainers.tuning.few_shot_files import save_few_shot
from .arguments import NER, TEXT_CLASSIFICATION, FinetuneArguments
from .model import load_model, print_curve, save


@dataclass(kw_only=True)
class TextArguments(FinetuneArguments):
    """Model and labelled texts."""

    task: str = HfArg(default=TEXT_CLASSIFICATION, help=f"{NER}, which has other arguments, or {TEXT_CLASSIFICATION}.")
    dataset: str = HfArg(
        help="Labelled texts: .jsonl, .csv or .tsv, a folder, or user/name on the Hub. A file is split in three; a "
        "folder holds such files whose names end with train, dev and test, or what `datasets` saved."
    )
    dataset_config: str | None = HfArg(default=None, help="Configuration of a Hub data set.")
    text_column: str = HfArg(default="text", help="Column of the text.")
    label_column: str = HfArg(default="label", help="Column of the label, a string, a whole number or a ClassLabel.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("task", self.task, (TEXT_CLASSIFICATION,))
        self.text_format()

    def text_format(self) -> TextFormat:
        """The arguments as a `TextFormat`."""
        return TextFormat(self.text_column, self.label_column, self.dataset_config)


TYPES = (TextArguments, ClassificationConfig)
SCORES = {"f1": "macro-F1", "accuracy": "accuracy", "matthews": "Matthews"}


def finetune(data_args: TextArguments, args: ClassificationConfig) -> dict[str, Any]:
    """Fine-tune, score and save."""
    with args.main_process_first(desc="texts"):
        splits = load_texts(data_args.dataset, data_args.text_format())
    names = label_names(classes_of(splits["train"]))
    model, tokenizer = load_model(AutoModelForSequenceClassification, data_args, args, names)
    if not isinstance(model, PicoForSequenceClassification):
        raise InputError(f"{data_args.model!r} is a {type(model).__name__}, not a Pico model: give a Pico checkpoint")
    if data_args.shots:
        return score_few_shot(data_args, args, model, tokenizer, splits)
    progress = None if args.disable_tqdm else ProgressCallback("fine-tune")
    tuned = fine_tune(model, tokenizer, splits, args, progress=progress)
    results = described(data_args, args, splits, tuned)
    if args.should_save:
        save(Path(args.output_dir), model, tokenizer, results)
        print_scores(results)
    return results


def described(
    data_args: TextArguments, args: ClassificationConfig, splits: DatasetDict, tuned: FineTuned
) -> dict[str, Any]:
    """The content of results.json."""
    return {
        "task": data_args.task,
        "model": data_args.model,
        "dataset": data_args.dataset,
        "mode": args.mode,
        "pooling": args.pooling,
        "features": args.features,
        "head_solver": args.head_solver,
        "penalty": tuned.penalty,
        "seed": args.seed,
        "learning_rate": args.learning_rate,
        "data": describe(splits),
        "scores": tuned.scores,
        "baselines": baseline_scores(splits),
        "truncated_texts": tuned.truncated_texts,
        "epochs": tuned.epochs,
        "best_epoch": tuned.best_epoch,
        "steps": tuned.steps,
    }


def print_scores(results: dict[str, Any]) -> None:
    """Print the scores of every split and the baselines, and what they should be read with."""
    baselines = {f"test, {name.replace('_', ' ')} baseline": each for name, each in results["baselines"].items()}
    for name, each in (results["scores"] | baselines).items():
        line = ", ".join(f"{label} {each[key]:.3f}" for key, label in SCORES.items())
        print(f"{name}: {line}" + (f" ({each['support']} texts)" if "support" in each else ""))
    for split, count in results["truncated_texts"].items():
        if count:
            print(f"{split}: {count} texts are longer than the model reads and were cut")
    for split, about in results["data"].items():
        if about.get("also_in_train"):
            print(f"{split}: {about['also_in_train']} of {about['texts']} texts are in train too")


def score_few_shot(
    data_args: TextArguments,
    args: ClassificationConfig,
    model: PicoForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    splits: DatasetDict,
) -> dict[str, Any]:
    """Score few-shot training on the test split, print the curve and write results.json."""
    scores = few_shot(model, tokenizer, splits, args, data_args.few_shot_methods, data_args.shots, data_args.draws)
    about = {"task": data_args.task, "model": data_args.model, "few_shot_dataset": data_args.dataset}
    about |= {"pooling": args.pooling, "features": args.features}
    results = save_few_shot(Path(args.output_dir), about, scores, args.should_save)
    if args.should_save:
        print(f"macro-F1 on K texts of each class: mean over {data_args.draws} draws, 95 % t interval")
        print_curve(results["curve"])
    return results
