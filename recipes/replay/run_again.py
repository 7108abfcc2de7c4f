"""Goes through a run's batches and episodes again, without training, up to a step."""

import tempfile
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ProgressCallback
from transformers.trainer_callback import PrinterCallback

from ...trainers import InputError, MAMLConfig, MAMLTrainer
from ...trainers.episodes import episode_generator, has_episode
from ...trainers.meta.episode_model import EpisodeOutput
from ...trainers.runs.checkpoints import newest, read_seal, step_of
from ...trainers.runs.files import ARGUMENTS_FILE, METRICS_FILE
from ...trainers.runs.json_files import read_json
from ...trainers.runs.reader import read_metrics
from ..arguments.corpus import CorpusArguments
from ..arguments.dynamics import DynamicsArguments
from ..arguments.model import RANDOM, ModelArguments
from ..arguments.run import RunArguments
from ..pretrain.arguments import PretrainArguments
from ..pretrain.corpus import Corpus, load_corpus
from ..pretrain.new_model import new_model
from ..pretrain.start import check_same_corpus
from ..publish.settings import PublishArguments

# Arguments of the machine or of the model's arithmetic, which decide nothing that is read.
MACHINE = {"bf16", "fp16", "tf32", "fsdp", "fsdp_config", "deepspeed", "compile_backbone", "gradient_checkpointing"}
MACHINE |= {"torch_compile", "optim", "matrix_optimizer", "data_parallel_backend", "accelerator_config"}


@dataclass(frozen=True)
class MicroBatch:
    """What a run read in a micro-batch.

    Attributes:
        step: the optimizer step, from 1.
        number: of the micro-batch within the step, from 0.
        input_ids: (B, T) of all processes.
        documents: (B, T) document of each token.
        sources: (B,) number of the source of each row in a mixture; None for one corpus.
        next_token: the next-token loss was trained on it.
        drawn: an episode was to be added; `episode` is None if there were too few words.
        episode: an `Episode`, a `TaskEpisode` or a `ClassEpisode`.
    """

    step: int
    number: int
    input_ids: Tensor
    documents: Tensor
    sources: Tensor | None
    next_token: bool
    drawn: bool
    episode: Any


class _Done(Exception):
    """The last wanted step is over."""


class Replay(MAMLTrainer):
    """A trainer that reads and draws as a run did, and trains nothing."""

    wanted: Collection[int] = ()
    found: Callable[[MicroBatch], None]

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Hand on the micro-batch of a wanted step."""
        step, number = self.state.global_step, self._next_micro_batch()
        if step >= max(self.wanted):
            raise _Done
        input_ids, documents = inputs["input_ids"], inputs["document"]
        self.source.before(input_ids, documents)
        generator = episode_generator(self.args.seed, step, number)
        drawn = has_episode(generator, self.args.hybrid_ratio)
        episode = self.source.draw(input_ids, generator) if drawn else None  # a memory sees every episode
        if self.source.streams:  # which states there were does not decide what is drawn
            self.source.after(EpisodeOutput(states=torch.zeros(*input_ids.shape, 1)))
        if step + 1 in self.wanted:
            next_token = episode is None or self.args.hybrid_mode == "add"
            sources = inputs.get("source")
            self.found(MicroBatch(step + 1, number, input_ids, documents, sources, next_token, drawn, episode))
        loss = torch.zeros(())
        self.guard.add(loss)
        return loss


def run_again(run: Path, steps: Collection[int], found: Callable[[MicroBatch], None]) -> Corpus:
    """Call `found` with each micro-batch of these steps; returns the corpus, whose tokenizer reads it.

    Raises:
        InputError: the folder holds no run that got that far, or the run's corpus changed or cannot be read in order.
    """
    if not (run / ARGUMENTS_FILE).exists():
        raise InputError(f"{run} is no run of pretrain: name its output_dir")
    saved, checkpoint = read_json(run / ARGUMENTS_FILE), newest(run, hashes=False)
    reached = max(read_metrics(run / METRICS_FILE, [])["step"].max(), step_of(checkpoint) if checkpoint else 0)
    if max(steps) > reached:
        raise InputError(f"step {max(steps)} was not logged: the last one of {run} is {reached:.0f}")
    if checkpoint is None:
        raise InputError(f"{run} has no checkpoint, which knows the number of processes: replay it after the first")
    if saved.get("branch_from") and saved.get("streaming"):
        raise InputError("a branch with a streamed corpus cannot be replayed: its place depends on the run before it")
    with tempfile.TemporaryDirectory(prefix="pico-maml-") as folder:
        args = arguments(saved, folder, read_seal(checkpoint)["world_size"])
        check_same_corpus(run, args)
        corpus = load_corpus(args, checkpoint)
        classes = None if corpus.classes is None else corpus.classes.classes
        trainer = Replay(
            new_model(args, corpus.tokenizer, None), args.training, corpus.blocks, corpus.tokenizer, classes
        )
        trainer.wanted, trainer.found = set(steps), found
        for callback in (ProgressCallback, PrinterCallback):
            trainer.remove_callback(callback)
        with suppress(_Done):
            trainer.train()
    return corpus


def arguments(saved: dict[str, Any], folder: str, processes: int) -> PretrainArguments:
    """The arguments of a run in this process alone, whose micro-batch is that of all its processes."""
    training = MAMLConfig(output_dir=folder, use_cpu=True).to_dict()
    changed = {name: value for name, value in saved.items() if name in training.keys() - MACHINE and value is not None}
    changed = {name: value for name, value in changed.items() if value != training[name]}
    changed |= {
        "output_dir": folder,
        "use_cpu": True,
        "per_device_train_batch_size": saved["per_device_train_batch_size"] * processes,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": "none",
        "save_schedule": [],
        "episode_gradient_share": 0.0,
        "disable_tqdm": True,
        "logging_steps": saved["max_steps"] + 1 if saved["max_steps"] > 0 else 10**9,
    }
    groups = (ModelArguments, CorpusArguments, RunArguments, DynamicsArguments)
    model, corpus, run, dynamics = (_filled(group, saved) for group in groups)
    run.eval_episodes, run.resume, run.resume_from = 0, False, None
    model.init_embeddings = RANDOM
    return PretrainArguments(model, corpus, run, dynamics, PublishArguments(), MAMLConfig(**changed))


def _filled(group: type, saved: dict[str, Any]) -> Any:
    required = {f.name for f in fields(group) if f.default is MISSING and f.default_factory is MISSING}
    names = {f.name for f in fields(group)}
    return group(**{name: saved[name] for name in names if name in saved or name in required})
