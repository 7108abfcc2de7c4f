"""Fine-tune for named entity recognition."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerBase
from transformers.hf_argparser import HfArg

from ...callbacks import ProgressCallback
from ...modeling_pico import PicoForTokenClassification
from ...trainers.checks import check_choice
from ...trainers.ner import FineTuned, NERConfig, fine_tune, label_names, load_treebank
from ...trainers.ner.analysis.baselines import baseline_scores
from ...trainers.ner.few_shot import few_shot
from ...trainers.ner.labels import tags_of
from ...trainers.ner.treebank import describe, load_test_sets
from ...trainers.tuning.few_shot_files import save_few_shot
from ..arguments.entities import EntityArguments
from .arguments import NER, FinetuneArguments
from .model import load_model, print_curve, save


@dataclass(kw_only=True)
class NERArguments(EntityArguments, FinetuneArguments):
    """Model and data."""

    treebank: str = HfArg(
        help="Treebank of Universal NER, `all` (nine), `sample`, or a path. `sample` has invented "
        "sentences, to try the code; a file has columns or spans in JSON lines; a folder holds such files whose names "
        "end with train, dev and test, or what `datasets` saved."
    )
    evaluate_on: list[str] = HfArg(
        default_factory=list, help="Further treebanks whose test sets are scored, or `all` (18)."
    )
    uner_dir: str | None = HfArg(default=None, help="Folder of the Universal NER files (unset: download them once).")
    split_dev: bool = HfArg(
        default=False, help="Where a treebank has no train split, take nine tenths of its dev split for it."
    )

    def __post_init__(self) -> None:
        FinetuneArguments.__post_init__(self)
        EntityArguments.__post_init__(self)
        check_choice("task", self.task, (NER,))


TYPES = (NERArguments, NERConfig)


def finetune(data_args: NERArguments, args: NERConfig) -> dict[str, Any]:
    """Fine-tune, score and save."""
    with args.main_process_first(desc="treebanks"):
        form = data_args.data_format()
        treebank = load_treebank(data_args.treebank, data_args.uner_dir, data_args.split_dev, form)
        tags = tags_of(next(iter(treebank.values())))
        test_sets = load_test_sets(data_args.evaluate_on, data_args.uner_dir, form, tags)
    model, tokenizer = load_model(AutoModelForTokenClassification, data_args, args, label_names(tags))
    if data_args.shots:
        return score_few_shot(data_args, args, model, tokenizer, treebank, test_sets)
    progress = None if args.disable_tqdm else ProgressCallback("fine-tune")
    tuned = fine_tune(model, tokenizer, treebank, args, test_sets, progress=progress)
    results = described(data_args, args, treebank, tuned)
    if args.should_save:
        save(Path(args.output_dir), model, tokenizer, results)
        for split, scores in results["scores"].items():
            print(f"{split}: F1 {scores['f1']:.3f} (strict {scores['strict_f1']:.3f}, {scores['support']} entities)")
        for name, f1 in results["baselines"].items():
            print(f"test, {name} baseline: F1 {f1:.3f}")
    return results


def described(data_args: NERArguments, args: NERConfig, treebank: DatasetDict, tuned: FineTuned) -> dict[str, Any]:
    """The content of results.json."""
    return {
        "model": data_args.model,
        "treebank": data_args.treebank,
        "mode": args.mode,
        "labelled_subword": args.labelled_subword,
        "tag_decoding": args.tag_decoding,
        "space_before_words": args.space_before_words,
        "features": args.features,
        "head_solver": args.head_solver,
        "penalty": tuned.penalty,
        "seed": args.seed,
        "learning_rate": args.learning_rate,
        "sentences": {split: len(rows) for split, rows in treebank.items()},
        "data": {split: describe(rows) for split, rows in treebank.items()},
        "scores": tuned.scores,
        "baselines": baseline_scores(treebank),
        "truncated_words": tuned.truncated_words,
        "epochs": tuned.epochs,
        "best_epoch": tuned.best_epoch,
        "steps": tuned.steps,
    }


def score_few_shot(
    data_args: NERArguments,
    args: NERConfig,
    model: PicoForTokenClassification,
    tokenizer: PreTrainedTokenizerBase,
    treebank: DatasetDict,
    test_sets: dict[str, Dataset],
) -> dict[str, Any]:
    """Score few-shot training on the test split and the further test sets, print the curve and write results.json."""
    if "test" in treebank:
        test_sets = {"test": treebank["test"], **test_sets}
    scores = few_shot(
        model, tokenizer, treebank, test_sets, args, data_args.few_shot_methods, data_args.shots, data_args.draws
    )
    about = {"model": data_args.model, "few_shot_treebank": data_args.treebank, "features": args.features}
    results = save_few_shot(Path(args.output_dir), about, scores, args.should_save)
    if args.should_save:
        print(f"F1 on sentences with K mentions of each class: mean over {data_args.draws} draws, 95 % t interval")
        print_curve(results["curve"])
    return results
