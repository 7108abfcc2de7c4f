"""Pretrain a Pico model with next-token prediction and MAML episodes.

python -m pico_maml.recipes.pretrain --config demo --output_dir runs/demo
accelerate launch -m pico_maml.recipes.pretrain --config pico-maml-decoder-tiny --output_dir runs/tiny
"""

import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PrinterCallback, set_seed
from transformers import ProgressCallback as TransformersProgressCallback
from transformers.utils import logging

from ...callbacks import (
    DYNAMICS_FILE,
    HeadStatisticsCallback,
    JsonConsoleCallback,
    PerplexityCallback,
    ProgressCallback,
    PublishCallback,
    Source,
)
from ...modeling_pico import PicoConfig
from ...trainers import InputError, MAMLConfig, MAMLTrainer
from ...trainers.corpus import WordTable, load_tokenizer, train_tokenizer
from ...trainers.corpus.documents import column_names
from ...trainers.meta.adaptation import evaluate_adaptation
from ...trainers.meta.meta_model import PicoForMetaCausalLM
from ...trainers.runs.folder import (
    ARGUMENTS_FILE,
    RESULTS_FILE,
    check_free,
    check_same_run,
    checkpoint_to_resume,
    claimed,
    save_json,
)
from ...trainers.runs.safety import PREEMPTED_CODE
from ...trainers.runs.safety.safe_trainer import METRICS_FILE
from ..arguments.corpus import CorpusArguments
from ..arguments.dynamics import DynamicsArguments, add_dynamics
from ..arguments.model import ModelArguments
from ..arguments.parser import parse
from ..arguments.run import RunArguments
from ..publish.background import BackgroundPublisher, check_access
from ..publish.resuming import fetch_state
from ..publish.settings import PublishArguments, Settings
from .tracking import name_run, report_end

TYPES = (ModelArguments, CorpusArguments, RunArguments, DynamicsArguments, PublishArguments, MAMLConfig)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the recipe; returns what it writes to results.json."""
    model_args, corpus, run_args, dynamics_args, publish_args, args = parse(TYPES, argv, prog="pretrain")
    with claimed(Path(args.output_dir), args.process_index == 0):
        return pretrain(model_args, corpus, run_args, dynamics_args, publish_args, args)


def pretrain(
    model_args: ModelArguments,
    corpus: CorpusArguments,
    run_args: RunArguments,
    dynamics_args: DynamicsArguments,
    publish_args: PublishArguments,
    args: MAMLConfig,
) -> dict[str, Any]:
    """Train, evaluate and save; returns what it writes to results.json."""
    logging.disable_progress_bar()  # transformers' bars for files, which would break ours
    if run_args.console != "bar":
        datasets.disable_progress_bars()
    output_dir = Path(args.output_dir)
    config = model_args.config()
    check_arguments(corpus, config, args)
    arguments = {
        **asdict(model_args),
        **asdict(corpus),
        **asdict(run_args),
        **asdict(dynamics_args),
        **comparable(args),
    }
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
                for name in (METRICS_FILE, DYNAMICS_FILE):
                    (output_dir / name).unlink(missing_ok=True)
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
        text_bytes = Source.from_blocks(held_out, tokenizer).text_bytes
        sources = {name: Source.from_blocks(ids, tokenizer) for name, ids in corpus.source_blocks(tokenizer).items()}
    words = evaluation_words(args, tokenizer, config.vocab_size)
    if run_args.eval_episodes > 0:
        check_evaluation(args, held_out[:, :-1], tokenizer.mask_token_id, words)

    set_seed(args.seed)
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    if tokenizer.pad_token_id != tokenizer.eos_token_id:
        config.pad_token_id = tokenizer.pad_token_id  # whose embedding gets no gradient, so never the end of text
    model = model_args.model(config)
    dynamics_args.check(model)
    name_run(args, model_args.model_size)
    try:
        trainer = MAMLTrainer(model, args, blocks, tokenizer)
    except ValueError as error:
        raise InputError(str(error)) from error
    add_console(trainer, run_args.console)
    add_measurements(trainer, dynamics_args, held_out, text_bytes, sources, checkpoint)
    publisher = None
    if publishing is not None:
        publishing.save(output_dir)
        publisher = BackgroundPublisher(output_dir, publishing)
        trainer.add_callback(PublishCallback(publisher.publish))

    if checkpoint is None and trainer.is_world_process_zero():
        save_json(output_dir / ARGUMENTS_FILE, arguments)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.preempted:
        trainer.end()
        print(f"preempted: step {trainer.state.global_step} is saved, the same command with --resume goes on")
        sys.exit(PREEMPTED_CODE)
    trainer.save_model()
    before = after = None
    if run_args.eval_episodes > 0:
        # The model that training began with is made anew: nobody waits for its evaluation before the first step.
        set_seed(args.seed)
        untrained = PicoForMetaCausalLM.from_causal_lm(model_args.model(config), args.seed, **args.head())
        before, after = (
            adaptation(model, held_out[:, :-1], words, tokenizer.mask_token_id, args, run_args.eval_episodes)
            for model in (untrained.to(args.device), trainer.model)
        )
    results = {
        "steps": trainer.state.global_step,
        **trainer.counts,
        "held_out": [entry for entry in trainer.state.log_history if "eval_perplexity" in entry],
        "adaptation_before_training": before,
        "adaptation": after,
    }
    if trainer.is_world_process_zero():
        save_json(output_dir / RESULTS_FILE, results)
        report_end(trainer, results)
    trainer.end()
    if publisher is not None:
        publisher.finish(trainer.state.global_step)
    return results


def adaptation(
    model: PicoForMetaCausalLM, blocks: Tensor, words: WordTable, mask_id: int, args: MAMLConfig, episodes: int
) -> dict[str, Any]:
    """Accuracies on held-out episodes, for results.json; a run without episodes has no trained head."""
    trained_head = args.hybrid_ratio > 0
    return asdict(evaluate_adaptation(model, blocks, words, mask_id, args, episodes, args.seed, trained_head))


def add_console(trainer: MAMLTrainer, console: str) -> None:
    """Have the run print what it was asked to, instead of what transformers would."""
    if console == "bar" and trainer.args.disable_tqdm:
        return
    trainer.remove_callback(TransformersProgressCallback)
    trainer.remove_callback(PrinterCallback)
    if console == "json":
        trainer.add_callback(JsonConsoleCallback())
    elif console == "bar":
        trainer.add_callback(ProgressCallback("pretrain"))


def add_measurements(
    trainer: MAMLTrainer,
    arguments: DynamicsArguments,
    held_out: Tensor,
    text_bytes: int,
    sources: dict[str, Source],
    checkpoint: Path | None,
) -> None:
    """Have the run watched: learning dynamics, the head, held-out perplexity."""
    args = trainer.args
    dynamics = add_dynamics(trainer, arguments, held_out, checkpoint) if arguments.dynamics_steps else None
    trainer.add_callback(HeadStatisticsCallback(trainer.record, dynamics))
    every = int(args.eval_steps or args.logging_steps)
    rows = args.per_device_eval_batch_size
    trainer.add_callback(PerplexityCallback(held_out, rows, every, trainer.log, text_bytes, sources, dynamics))


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
