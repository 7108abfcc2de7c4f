"""Pretrain a Pico model with next-token prediction and MAML episodes.

python -m pico_maml.recipes.pretrain --config demo --output_dir runs/demo
accelerate launch -m pico_maml.recipes.pretrain --config pico-maml-decoder-tiny --output_dir runs/tiny
"""

import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PrinterCallback, set_seed
from transformers import ProgressCallback as TransformersProgressCallback
from transformers.utils import logging

from ..callbacks import HeadStatisticsCallback, PerplexityCallback, ProgressCallback, PublishCallback
from ..modeling_pico import PICO_SIZES, PicoConfig, PicoForCausalLM
from ..trainers import InputError, MAMLConfig, MAMLTrainer
from ..trainers.corpus import WordTable, load_tokenizer, train_tokenizer
from ..trainers.corpus.documents import column_names
from ..trainers.meta.adaptation import evaluate_adaptation
from ..trainers.safety import PREEMPTED_CODE
from ..trainers.safety.safe_trainer import METRICS_FILE
from .command_line.arguments import parse, run
from .command_line.corpus_arguments import CorpusArguments
from .command_line.loading import load_weights
from .command_line.run_folder import (
    ARGUMENTS_FILE,
    RESULTS_FILE,
    check_free,
    check_same_run,
    checkpoint_to_resume,
    claimed,
    load_json,
    save_json,
)
from .command_line.tracking import name_run, report_end
from .publishing.background import BackgroundPublisher, check_access
from .publishing.resuming import fetch_state
from .publishing.settings import PublishArguments, Settings


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
        default=None,
        metadata={"help": "Folder or Hub name; unset: that of init_from, or a byte-level BPE trained on the corpus."},
    )
    init_from: str | None = field(
        default=None,
        metadata={"help": "Checkpoint to take the weights from, nothing else: optimizer, schedule and data are new."},
    )

    def config(self) -> PicoConfig:
        """The model's configuration."""
        shape = {f.name: self.__dict__[f.name] for f in fields(PicoConfig) if f.name in self.__dict__}
        try:
            return PicoConfig.from_size(self.model_size, **{k: v for k, v in shape.items() if v is not None})
        except ValueError as error:
            raise InputError(str(error)) from error

    def model(self, config: PicoConfig) -> PicoForCausalLM:
        """A new model of this configuration, or the one of `init_from`, which must be of the same shape."""
        if self.init_from is None:
            return PicoForCausalLM(config)
        shape = {f.name: config.to_dict()[f.name] for f in fields(PicoConfig) if f.name in self.__dict__}
        return load_weights(self.init_from, shape)


@dataclass
class RunArguments:
    """Arguments of the run."""

    resume: bool = field(default=False, metadata={"help": "Go on from the newest checkpoint in output_dir."})
    resume_from: str | None = field(
        default=None,
        metadata={
            "help": "Go on in an empty output_dir from a training state on the Hub: user/name@state-step-N, or `hub`, "
            "the newest in publish_to."
        },
    )
    eval_episodes: int = field(
        default=100, metadata={"help": "Held-out episodes to run before and after training (0: none)."}
    )

    def __post_init__(self) -> None:
        if self.eval_episodes < 0:
            raise InputError(f"eval_episodes must be at least 0, got {self.eval_episodes}")


TYPES = (ModelArguments, CorpusArguments, RunArguments, PublishArguments, MAMLConfig)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the recipe; returns what it writes to results.json."""
    model_args, corpus, run_args, publish_args, args = parse(TYPES, argv, prog="pretrain")
    with claimed(Path(args.output_dir), args.process_index == 0):
        return pretrain(model_args, corpus, run_args, publish_args, args)


def pretrain(
    model_args: ModelArguments,
    corpus: CorpusArguments,
    run_args: RunArguments,
    publish_args: PublishArguments,
    args: MAMLConfig,
) -> dict[str, Any]:
    """Train, evaluate and save; returns what it writes to results.json."""
    logging.disable_progress_bar()  # transformers' bars for files, which would break ours
    output_dir = Path(args.output_dir)
    config = model_args.config()
    check_arguments(corpus, config, args)
    arguments = {**asdict(model_args), **asdict(corpus), **asdict(run_args), **comparable(args)}
    checkpoint, published_as = None, None
    if run_args.resume_from is not None:
        with args.main_process_first(local=False, desc="state"):
            if args.process_index == 0:
                check_free(output_dir)
                published_as = fetch_state(run_args.resume_from, publish_args.publish_to, output_dir)
    if run_args.resume or run_args.resume_from is not None:
        with args.main_process_first(local=False, desc="checkpoint"):
            checkpoint = checkpoint_to_resume(output_dir, hashes=args.process_index == 0)
            check_same_run(output_dir, arguments, int(checkpoint.name.split("-")[1]) if checkpoint else 0)
            if checkpoint is None:  # stopped before it saved anything: it begins again
                (output_dir / METRICS_FILE).unlink(missing_ok=True)
    else:
        check_free(output_dir)
    publishing = Settings.of_run(output_dir, publish_args, published_as) if args.process_index == 0 else None
    if publishing is not None:
        check_access(publishing)

    with args.main_process_first(desc="corpus"):
        documents, held_out_documents = corpus.documents()
        tokenizer = (
            load_tokenizer(str(checkpoint)) if checkpoint else make_tokenizer(model_args, config, documents, corpus)
        )
        blocks = corpus.train_blocks(documents, tokenizer, args.seed)
        held_out = corpus.held_out_blocks(held_out_documents, tokenizer)
    words = evaluation_words(args, tokenizer, config.vocab_size)
    if run_args.eval_episodes > 0:
        check_evaluation(args, held_out[:, :-1], tokenizer.mask_token_id, words)

    set_seed(args.seed)
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    if tokenizer.pad_token_id != tokenizer.eos_token_id:
        config.pad_token_id = tokenizer.pad_token_id  # whose embedding gets no gradient, so never the end of text
    name_run(args, model_args.model_size)
    try:
        trainer = MAMLTrainer(model_args.model(config), args, blocks, tokenizer)
    except ValueError as error:
        raise InputError(str(error)) from error
    if not args.disable_tqdm:
        trainer.remove_callback(TransformersProgressCallback)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(ProgressCallback("pretrain"))
    trainer.add_callback(HeadStatisticsCallback(trainer.record))
    perplexity = PerplexityCallback(
        held_out, args.per_device_eval_batch_size, int(args.eval_steps or args.logging_steps), trainer.log
    )
    trainer.add_callback(perplexity)
    publisher = None
    if publishing is not None:
        publishing.save(output_dir)
        publisher = BackgroundPublisher(output_dir, publishing)
        trainer.add_callback(PublishCallback(publisher.publish))

    def adaptation() -> dict[str, Any] | None:
        if run_args.eval_episodes == 0:
            return None
        result = evaluate_adaptation(
            trainer.model,
            held_out[:, :-1],
            words,
            tokenizer.mask_token_id,
            args,
            run_args.eval_episodes,
            args.seed,
            trained_head=args.hybrid_ratio > 0,
        )
        return asdict(result)

    results_path = output_dir / RESULTS_FILE
    before = adaptation() if checkpoint is None else load_json(results_path)["adaptation_before_training"]
    if checkpoint is None and trainer.is_world_process_zero():
        save_json(output_dir / ARGUMENTS_FILE, arguments)
        save_json(results_path, {"adaptation_before_training": before})
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.preempted:
        trainer.end()
        print(f"preempted: step {trainer.state.global_step} is saved, the same command with --resume goes on")
        sys.exit(PREEMPTED_CODE)
    trainer.save_model()
    results = {
        "steps": trainer.state.global_step,
        **trainer.counts,
        "held_out": [entry for entry in trainer.state.log_history if "eval_perplexity" in entry],
        "adaptation_before_training": before,
        "adaptation": adaptation(),
    }
    if trainer.is_world_process_zero():
        save_json(results_path, results)
        report_end(trainer, results)
    trainer.end()
    if publisher is not None:
        publisher.finish(trainer.state.global_step)
    return results


def check_arguments(corpus: CorpusArguments, config: PicoConfig, args: MAMLConfig) -> None:
    """Refuse combinations that would only fail later, or be read by nobody."""
    if corpus.block_size > config.max_seq_len:
        raise InputError(
            f"block_size is {corpus.block_size}, but max_seq_len {config.max_seq_len}: lower or raise one of them"
        )
    if corpus.streaming and args.max_steps < 1:
        raise InputError("a streamed corpus has no known end: say with max_steps where to stop")
    if args.eval_steps is not None and (args.eval_steps < 1 or args.eval_steps != int(args.eval_steps)):
        raise InputError(f"eval_steps must be a whole number of steps, got {args.eval_steps}")
    if args.resume_from_checkpoint is not None:
        raise InputError("resume_from_checkpoint is not read here: --resume goes on from the newest checkpoint")
    if args.push_to_hub:
        raise InputError("push_to_hub, transformers' own, loses uploads: give --publish_to user/name instead")


def evaluation_words(args: MAMLConfig, tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> WordTable:
    """Words that no training episode makes a class of; where none are held out, all words."""
    words = WordTable.from_tokenizer(tokenizer, vocab_size)
    return words.split(args.held_out_words)[1] if args.held_out_words else words


def check_evaluation(args: MAMLConfig, blocks: Tensor, mask_id: int, words: WordTable) -> None:
    """Make sure that episodes can be drawn from the held-out text, before anything is trained or written."""
    try:
        args.check_pool(blocks, mask_id, words)
    except InputError as error:
        hint = "or raise eval_blocks, eval_fraction or held_out_words, or set eval_episodes to 0"
        raise InputError(f"held-out words of held-out text: {error}; {hint}") from error


def comparable(args: MAMLConfig) -> dict[str, Any]:
    """The training arguments that say what a run is, without those that only this machine or moment sets."""
    names = {f.name for f in fields(MAMLConfig)} - {"logging_dir", "local_rank", "ddp_timeout", "hub_token"}
    return {name: value for name, value in args.to_dict().items() if name in names}


def make_tokenizer(
    model_args: ModelArguments, config: PicoConfig, documents: Dataset, corpus: CorpusArguments
) -> PreTrainedTokenizerBase:
    """The named tokenizer, that of a prepared corpus, or one trained on the training documents."""
    name = model_args.tokenizer or model_args.init_from
    if name is not None:
        return load_tokenizer(name)
    if "text" not in column_names(documents):
        return load_tokenizer(corpus.own_tokenizer())
    return train_tokenizer((row["text"] for row in documents), config.vocab_size)


if __name__ == "__main__":
    run(main)
