"""The arguments of a pretraining run: six groups, their checks, and what is saved of them."""

from dataclasses import asdict, dataclass, fields
from typing import Any, get_type_hints

import torch
from transformers import AutoModelForCausalLM

from ...trainers import InputError, MAMLConfig
from ...trainers.corpus.content_hash import files_hash
from ...trainers.loading import most_tokens
from ...trainers.tasks.files import read_tasks
from ...trainers.tasks.hold_out import count_texts, training_classes
from ..arguments.corpus import CorpusArguments
from ..arguments.dynamics import DynamicsArguments
from ..arguments.model import ModelArguments
from ..arguments.run import RunArguments
from ..arguments.training_text import check_sources
from ..publish.settings import PublishArguments

TASKS = "task_files"
# Fields that depend on the machine, or are secret.
NOT_SAVED = {"logging_dir", "local_rank", "ddp_timeout", "hub_token"}


@dataclass(frozen=True)
class PretrainArguments:
    """The groups of arguments of a pretraining run."""

    model: ModelArguments
    corpus: CorpusArguments
    run: RunArguments
    dynamics: DynamicsArguments
    publish: PublishArguments
    training: MAMLConfig

    def saved(self) -> dict[str, Any]:
        """The arguments that define the run, for arguments.json and to compare when it is resumed."""
        names = {f.name for f in fields(MAMLConfig)} - NOT_SAVED
        training = {name: value for name, value in self.training.to_dict().items() if name in names}
        return self.model.recorded() | asdict(self.corpus) | asdict(self.run) | asdict(self.dynamics) | training

    def content_hashes(self) -> dict[str, str | None]:
        """A hash of the files of each argument that names text; None for a Hub data set."""
        files = self.training.task_files
        return self.corpus.content_hashes() | ({TASKS: files_hash(files)} if files else {})

    def check(self) -> None:
        """Raise InputError for combinations that would fail later or have no effect."""
        training, config, other = self.training, self.model.config(), self.model.other
        if self.corpus.block_size > (longest := most_tokens(config)):
            remedy = " or raise max_seq_len" if other is None else ""
            limit = "max_seq_len" if other is None else f"the longest text of {self.model.init_from!r}"
            raise InputError(
                f"block_size is {self.corpus.block_size} but {limit} is {longest}: lower block_size{remedy}"
            )
        if other is not None:
            with torch.device("meta"):
                self.dynamics.check(AutoModelForCausalLM.from_config(other))
        check_sources(self.corpus)
        if self.corpus.streaming and training.max_steps < 1:
            raise InputError("a streamed corpus has no known length: set max_steps")
        if training.eval_steps is not None and (training.eval_steps < 1 or training.eval_steps % 1):
            raise InputError(f"eval_steps must be a whole number of steps, got {training.eval_steps}")
        if training.resume_from_checkpoint is not None:
            raise InputError("resume_from_checkpoint has no effect: --resume resumes from the newest checkpoint")
        if training.task_files:
            training_classes(
                count_texts(read_tasks(training.task_files)), training, training.k_shot + training.n_query
            )
        if training.push_to_hub:
            raise InputError("push_to_hub, transformers' own, can lose uploads: set --publish_to user/name instead")


TYPES = tuple(get_type_hints(PretrainArguments).values())
