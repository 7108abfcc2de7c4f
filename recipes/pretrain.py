"""Pretrain a Pico model with next-token prediction and MAML episodes.

python -m pico_maml.recipes.pretrain --config demo --output_dir runs/demo
accelerate launch -m pico_maml.recipes.pretrain --config pico-maml-decoder-tiny --output_dir runs/tiny
"""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase, PrinterCallback, set_seed
from transformers import ProgressCallback as TransformersProgressCallback
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import logging

from ..callbacks import HeadStatisticsCallback, PerplexityCallback, ProgressCallback
from ..modeling_pico import PICO_SIZES, PicoConfig, PicoForCausalLM
from ..trainers import InputError, MAMLConfig, MAMLTrainer
from ..trainers.adaptation import evaluate_adaptation
from ..trainers.corpus import load_tokenizer, train_tokenizer
from .arguments import parse, run
from .corpus_arguments import CorpusArguments

RESULTS_FILE = "results.json"
ARGUMENTS_FILE = "arguments.json"


@dataclass
class ModelArguments:
    """Arguments of the model and its tokenizer."""

    model_size: str = field(default="tiny", metadata={"help": f"One of {', '.join(PICO_SIZES)}."})
    d_model: int | None = field(default=None, metadata={"help": "Width, instead of the named size's."})
    n_layers: int | None = field(default=None, metadata={"help": "Decoder blocks."})
    attention_n_heads: int | None = field(default=None, metadata={"help": "Query heads."})
    attention_n_kv_heads: int | None = field(default=None, metadata={"help": "Key/value heads."})
    activation_hidden_dim: int | None = field(default=None, metadata={"help": "Inner width of SwiGLU."})
    max_seq_len: int | None = field(default=None, metadata={"help": "Longest sequence the model is meant for."})
    vocab_size: int | None = field(
        default=None, metadata={"help": "Rows of the embedding; also the size of a tokenizer trained here."}
    )
    tokenizer: str | None = field(
        default=None, metadata={"help": "Folder or Hub name; unset: a byte-level BPE is trained on the corpus."}
    )

    def config(self) -> PicoConfig:
        """The model's configuration."""
        shape = {f.name: self.__dict__[f.name] for f in fields(PicoConfig) if f.name in self.__dict__}
        try:
            return PicoConfig.from_size(self.model_size, **{k: v for k, v in shape.items() if v is not None})
        except ValueError as error:
            raise InputError(str(error)) from error


@dataclass
class RunArguments:
    """Arguments of the run."""

    resume: bool = field(default=False, metadata={"help": "Go on from the newest checkpoint in output_dir."})
    eval_episodes: int = field(
        default=100, metadata={"help": "Held-out episodes to run before and after training (0: none)."}
    )


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the recipe; returns what it writes to results.json."""
    types = (ModelArguments, CorpusArguments, RunArguments, MAMLConfig)
    model_args, corpus, run_args, args = parse(types, argv, prog="pretrain")
    logging.disable_progress_bar()  # transformers' bars for files, which would break ours
    checkpoint = find_checkpoint(Path(args.output_dir), run_args.resume)
    config = model_args.config()
    if corpus.block_size > config.max_seq_len:
        raise InputError(
            f"block_size is {corpus.block_size}, but max_seq_len {config.max_seq_len}: lower the one or raise the other"
        )

    with args.main_process_first(desc="corpus"):
        documents, held_out_documents = corpus.documents()
        tokenizer = make_tokenizer(model_args, config, documents)
        blocks = corpus.train_blocks(documents, tokenizer)
        held_out = corpus.held_out_blocks(held_out_documents, tokenizer)

    set_seed(args.seed)
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    config.bos_token_id = tokenizer.bos_token_id
    trainer = MAMLTrainer(PicoForCausalLM(config), args, blocks, tokenizer)
    if not args.disable_tqdm:
        trainer.remove_callback(TransformersProgressCallback)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(ProgressCallback("pretrain"))
    trainer.add_callback(HeadStatisticsCallback(trainer.record))
    perplexity = PerplexityCallback(
        held_out, args.per_device_eval_batch_size, int(args.eval_steps or args.logging_steps), trainer.log
    )
    trainer.add_callback(perplexity)

    def adaptation() -> dict[str, float] | None:
        if run_args.eval_episodes == 0:
            return None
        pool, mask_id = held_out[:, :-1], tokenizer.mask_token_id
        try:
            accuracies = evaluate_adaptation(
                trainer.model, pool, trainer.words, mask_id, args, run_args.eval_episodes, args.seed
            )
        except InputError as error:
            raise InputError(f"held-out text: {error}, or set eval_episodes to 0") from error
        return asdict(accuracies)

    before = None if checkpoint else adaptation()
    if trainer.is_world_process_zero():
        save_json(Path(args.output_dir, ARGUMENTS_FILE), {**asdict(model_args), **asdict(corpus), **args.to_dict()})
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model()
    results = {
        "steps": trainer.state.global_step,
        **trainer.counts,
        "held_out": [entry for entry in trainer.state.log_history if "eval_perplexity" in entry],
        "adaptation_before_training": before,
        "adaptation": adaptation(),
    }
    if trainer.is_world_process_zero():
        save_json(Path(args.output_dir, RESULTS_FILE), results)
    return results


def find_checkpoint(output_dir: Path, resume: bool) -> str | None:
    """The newest checkpoint to resume from; a folder that holds a run is not written over.

    Raises:
        InputError: the folder holds a run and `resume` is not set, or there is nothing to resume.
    """
    occupied = output_dir.is_dir() and any(
        path.name.startswith("checkpoint-") or path.name in (ARGUMENTS_FILE, RESULTS_FILE)
        for path in output_dir.iterdir()
    )
    if not resume:
        if occupied:
            raise InputError(f"{output_dir} already holds a run: choose another output_dir, or go on with --resume")
        return None
    checkpoint = get_last_checkpoint(str(output_dir)) if output_dir.is_dir() else None
    if checkpoint is None:
        raise InputError(f"nothing to resume in {output_dir}: no folder checkpoint-N there")
    return checkpoint


def make_tokenizer(model_args: ModelArguments, config: PicoConfig, documents: Dataset) -> PreTrainedTokenizerBase:
    """The named tokenizer, or one trained on the training documents."""
    if model_args.tokenizer is not None:
        return load_tokenizer(model_args.tokenizer)
    if "text" not in (documents.column_names or []):
        raise InputError("the corpus is tokenised already: name its tokenizer with --tokenizer")
    return train_tokenizer((row["text"] for row in documents), config.vocab_size)


def save_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file for people and programs to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
