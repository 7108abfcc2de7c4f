"""Fine-tune a checkpoint for named entity recognition and score it.

python -m pico_maml.recipes.finetune --model runs/demo --treebank da_ddt --mode full --output_dir OUT
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict, disable_progress_bars
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerBase, set_seed
from transformers.hf_argparser import HfArg
from transformers.utils import logging

from ..callbacks import ProgressCallback
from ..modeling_pico import PicoForTokenClassification
from ..trainers.checks import check_at_least, check_choice
from ..trainers.corpus import check_vocabulary, model_tokenizer
from ..trainers.loading import load_pretrained
from ..trainers.model_name import deleted_afterwards
from ..trainers.ner import FineTuned, NERConfig, fine_tune, label_names, load_treebank
from ..trainers.ner.analysis.baselines import baseline_scores
from ..trainers.ner.few_shot import METHODS, few_shot
from ..trainers.ner.few_shot_files import save_few_shot
from ..trainers.ner.labels import tags_of
from ..trainers.ner.treebank import describe, load_test_sets
from ..trainers.process_group import leave
from ..trainers.runs.files import RESULTS_FILE
from ..trainers.runs.folder import check_free, claimed
from ..trainers.runs.json_files import write_json
from ..trainers.setup_checks import check_setup
from .arguments.entities import EntityArguments
from .arguments.parser import parse, run


@dataclass(kw_only=True)
class FinetuneArguments(EntityArguments):
    """Model and data."""

    model: str = HfArg(help="Checkpoint: a folder, or user/name[@revision][:subfolder] on the Hub.")
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
    shots: list[int] = HfArg(
        default_factory=list,
        help="K: few-shot instead, on sentences with K mentions of each class. Several are a curve.",
    )
    draws: int = HfArg(default=10, help="Draws of these sentences for each K, the same for every model.")
    few_shot_methods: list[str] = HfArg(
        default_factory=lambda: ["linear", "prototypes"],
        help="linear and prototypes on frozen features, and full by learning_rate and num_train_epochs.",
    )
    revision: str | None = HfArg(default=None, help="Revision of a Hub model.")
    tokenizer: str | None = HfArg(default=None, help="Folder or Hub name of the tokenizer (unset: the model's own).")
    delete_downloads: bool = HfArg(default=False, help="Delete the files downloaded of the model when finished.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(1, shots=min(self.shots, default=1), draws=self.draws)
        for method in self.few_shot_methods:
            check_choice("few_shot_methods", method, METHODS)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the command; returns the content of results.json."""
    data_args, args = parse((FinetuneArguments, NERConfig), argv, prog="finetune")
    if not data_args.shots:
        args.check_mode()
    with (
        claimed(Path(args.output_dir), args.process_index == 0),
        deleted_afterwards([data_args.model], data_args.delete_downloads),
    ):
        return finetune(data_args, args)


def finetune(data_args: FinetuneArguments, args: NERConfig) -> dict[str, Any]:
    """Fine-tune, score and save."""
    disable_progress_bars()
    logging.disable_progress_bar()  # transformers' bars for files break ours
    output_dir = Path(args.output_dir)
    check_free(output_dir)
    with args.main_process_first(desc="treebanks"):
        form = data_args.data_format()
        treebank = load_treebank(data_args.treebank, data_args.uner_dir, data_args.split_dev, form)
        tags = tags_of(next(iter(treebank.values())))
        test_sets = load_test_sets(data_args.evaluate_on, data_args.uner_dir, form, tags)
    tokenizer = model_tokenizer(data_args.model, data_args.revision, data_args.tokenizer)
    set_seed(args.seed)
    # In half precision the updates of a small learning rate would be rounded away; --bf16 computes in it all the same.
    model = load_pretrained(
        AutoModelForTokenClassification,
        data_args.model,
        data_args.revision,
        fresh="score.",
        dtype=torch.float32,
        **label_names(tags),
        **args.classifier(),
    )
    check_vocabulary(tokenizer, model.config.vocab_size)
    check_setup(args, type(model), model.config)
    if data_args.shots:
        return score_few_shot(data_args, args, model, tokenizer, treebank, test_sets)
    progress = None if args.disable_tqdm else ProgressCallback("fine-tune")
    tuned = fine_tune(model, tokenizer, treebank, args, test_sets, progress=progress)
    results = described(data_args, args, treebank, tuned)
    if args.should_save:
        model.save_pretrained(output_dir)
        tokenizer.save_pretrained(output_dir)
        # The model of the best epoch is in output_dir itself.
        for checkpoint in output_dir.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
        write_json(output_dir / RESULTS_FILE, results)
        for split, scores in results["scores"].items():
            print(f"{split}: F1 {scores['f1']:.3f} (strict {scores['strict_f1']:.3f}, {scores['support']} entities)")
        for name, f1 in results["baselines"].items():
            print(f"test, {name} baseline: F1 {f1:.3f}")
    leave()
    return results


def described(
    data_args: FinetuneArguments, args: NERConfig, treebank: DatasetDict, tuned: FineTuned
) -> dict[str, Any]:
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
    data_args: FinetuneArguments,
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
    results = save_few_shot(Path(args.output_dir), about, scores)
    print(f"F1 on sentences with K mentions of each class: mean over {data_args.draws} draws, 95 % t interval")
    for row in results["curve"]:
        interval = "" if row["draws"] == 1 else f" [{row['low']:.3f}, {row['high']:.3f}]"
        print(f"{row['test']}, {row['method']}, K = {row['shots']}: {row['f1']:.3f}{interval}")
    return results


if __name__ == "__main__":
    run(main)
