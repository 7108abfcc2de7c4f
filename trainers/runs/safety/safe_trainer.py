"""transformers' Trainer with safe checkpoints, exact resume, preemption and skipped updates."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import Trainer, TrainerState
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.trainer import TRAINER_STATE_NAME, TRAINING_ARGS_NAME
from transformers.trainer_utils import SaveStrategy, TrainOutput

from ...corpus import BlockStream, MixedStream
from ...corpus.stream_loader import StreamLoader
from ...errors import InputError
from ...process_group import sums
from ..checkpoints import damages, newest, read_seal, rotate, written_beside
from ..files import MAML_STATE_FILE, METRICS_FILE, PREEMPTED_FILE, STREAM_FILE
from ..json_files import JsonLines
from .preemption import Preemption
from .safety_config import SafetyConfig
from .step_guard import StepGuard
from .trackers import TolerantTracker

logger = logging.getLogger(__name__)


class SafeTrainer(Trainer):
    """A Trainer whose checkpoints are whole or absent, which resumes bitwise, and which survives signals and NaN.

    - Checkpoints are written aside, sealed with hashes and renamed (see `checkpoints`); resume renames damaged ones
      and takes the newest whole one. A streamed corpus resumes at the same place.
    - On SIGTERM or SIGUSR1 to any process, all processes finish their step, save and end training; `preempted` is then
      true, and the file PREEMPTED is in `output_dir`.
    - If the loss or gradient of a step is not finite on any process, or its next-token loss is a spike, all processes
      skip the update; `max_skipped_updates` in a row save the batch and raise InputError.
    - A tracker that fails is disabled.

    Every log is appended to `output_dir/metrics.jsonl`. Subclasses save more state with `tensors_to_save` and
    `load_tensors`.
    """

    args: SafetyConfig

    def __init__(self, model: nn.Module, args: SafetyConfig, train_dataset: Any, **kwargs: Any) -> None:
        self.stream: StreamLoader | None = None
        self.stream_begins = False  # the corpus is another than a checkpoint's, whose place in it means nothing
        if isinstance(train_dataset, BlockStream | MixedStream):
            self.stream = StreamLoader(
                train_dataset,
                args.per_device_train_batch_size,
                num_workers=args.dataloader_num_workers,
                prefetch_factor=args.dataloader_prefetch_factor,
                persistent_workers=args.dataloader_persistent_workers,
                multiprocessing_context=args.dataloader_multiprocessing_context,
            )
            args.ignore_data_skip = True  # the stream restores its place itself
        self.metrics_file = JsonLines(Path(args.output_dir, METRICS_FILE))
        self.counts = {"updates_skipped": 0}
        self.guard = StepGuard(args.loss_spike)
        self.preemption = Preemption()
        self.preempted = False
        # Called on every process with the folder of a checkpoint before it is sealed.
        self.checkpoint_writers: list[Callable[[Path], None]] = []
        self._saving_to: Path | None = None
        self._saved_at = -1  # the step of the last checkpoint
        super().__init__(model, args, train_dataset=train_dataset, **kwargs)
        handler, trackers = self.callback_handler, tuple(INTEGRATION_TO_CALLBACK.values())
        handler.callbacks = [TolerantTracker(c) if isinstance(c, trackers) else c for c in handler.callbacks]

    def tensors_to_save(self) -> dict[str, Tensor]:
        """State of a subclass to save in a checkpoint, on the CPU; called on every process."""
        return {}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors_to_save` returned."""

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> TrainOutput:
        """Train, or resume exactly from a checkpoint folder of this run (True: the newest one).

        Raises:
            InputError: output_dir holds another run; the checkpoint is damaged, of another trainer or of other batch
                sizes; too many updates were skipped; a checkpoint could not be written; a data worker died.
        """
        run, main = Path(self.args.output_dir), self.is_world_process_zero()
        checkpoint = Path(resume_from_checkpoint) if isinstance(resume_from_checkpoint, str) else None
        if resume_from_checkpoint is True:
            with self.args.main_process_first(local=False, desc="checkpoint"):
                checkpoint = newest(run, hashes=main)
        if checkpoint is not None:
            self._load_state(checkpoint)
        elif self.metrics_file.path.exists():
            raise InputError(f"{run} holds another run: choose another output_dir, or resume that run")
        if main:
            (run / PREEMPTED_FILE).unlink(missing_ok=True)
        self.preempted = False
        if checkpoint is not None:
            state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
            if state.global_step >= (self.args.max_steps if self.args.max_steps > 0 else state.max_steps):
                # The run stopped after its last step; the parent class would train one step more.
                self._load_from_checkpoint(str(checkpoint))
                self.state = state
                self._rotate()  # it may have stopped before it did
                return TrainOutput(state.global_step, math.nan, {})
        try:
            with self.preemption:
                output = super().train(resume_from_checkpoint=str(checkpoint) if checkpoint else None, **kwargs)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise InputError(
                f"a data worker died ({' '.join(str(error).split())}): give it more memory or lower "
                "dataloader_num_workers, and go on from the last checkpoint with --resume"
            ) from error
        if self.preempted and main:
            (run / PREEMPTED_FILE).write_text(f"saved step {self.state.global_step}; go on with --resume\n")
        return output

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Train on one micro-batch, and add its loss to what the step is judged by."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.guard.add(loss)
        return loss

    def get_train_dataloader(self) -> Any:
        """The batches of this process, on the CPU."""
        if self.stream is not None:
            return self.stream
        loader = super().get_train_dataloader()
        loader.device = None  # accelerate would copy a batch to a GPU, and wait for it
        return loader

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> Any:
        """Fetch the batches of an optimizer step; where a stream has ended before them, end training."""
        samples = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.stream is None or not self.stream.ended:
            return samples
        if self.state.global_step == 0:
            raise InputError("a source of the mixture ended before the first step: add text, or lower the batch size")
        saved = self._saved_at == self.state.global_step
        self.control.should_save = self.args.save_strategy != SaveStrategy.NO and not saved
        self.control.should_log = self.control.should_training_stop = True
        self.state.max_steps = self.state.global_step
        return [], None

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, and append the log to metrics.jsonl."""
        if self.preempted and "train_runtime" in logs:
            return  # the run is not over
        if self.stream is not None:
            self.state.epoch = self.state.global_step / self.state.max_steps  # a stream has none: the run's share
        super().log(logs, start_time)
        if self.is_world_process_zero():
            self.metrics_file.append(self.state.log_history[-1])

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """The gradient norm, as a tensor; here all processes decide together whether to update and whether to stop."""
        norm = super()._get_grad_norm(model, grad_norm)
        whole = norm.full_tensor() if isinstance(norm, DTensor) else torch.as_tensor(norm, device=self.args.device)
        *judged, asked = sums([*self.guard.on_this_process(whole), float(self.preemption.asked)])
        # A gradient scaler skips updates itself.
        why = None if self.accelerator.scaler is not None else self.guard.judge(*judged)
        if why is not None:
            self.counts["updates_skipped"] += 1
            model.zero_grad(set_to_none=True)  # an optimizer skips parameters without a gradient
            if self.guard.in_a_row >= self.args.max_skipped_updates:
                self._stop(why)
        self.guard.begin()
        if asked and self.state.global_step + 1 < self.state.max_steps:
            self.preempted = True
            self.control.should_save = self.control.should_training_stop = True
        return whole

    def _stop(self, why: str) -> None:
        """Save the batch, log, and raise InputError, because too many updates were skipped."""
        run = Path(self.args.output_dir)
        self.state.global_step += 1  # the skipped step counts
        step = self.state.global_step
        batch = run / f"skipped-step-{step}-process-{self.args.process_index}.safetensors"
        save_file({"input_ids": torch.stack(self.guard.batches)}, batch)  # (micro-batches, B, T)
        self.log({"loss": math.nan})
        last = newest(run, hashes=False)
        saved = f"--resume goes on from {last.name}" if last else "no checkpoint was saved yet"
        raise InputError(
            f"{self.guard.in_a_row} updates in a row were skipped, up to step {step} (loss or gradient: {why}): look "
            f"at its text in {batch}, lower learning_rate, or raise max_skipped_updates; {saved}"
        )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write checkpoint-N aside, seal and rename it; then rotate and push."""
        run, step = Path(self.args.output_dir), self.state.global_step
        tensors = self.tensors_to_save() | self.guard.state()
        tensors |= {name: torch.tensor(count) for name, count in (self.counts | self._batches()).items()}
        with written_beside(run, step, self.args.should_save) as folder:
            if self.args.should_save:
                save_file(tensors, folder / MAML_STATE_FILE)
            if self.stream is not None and self.is_world_process_zero():
                place = json.dumps(self.stream.state_dict(), default=lambda array: array.tolist())
                (folder / STREAM_FILE).write_text(place)
            for write in self.checkpoint_writers:
                write(folder)
            self._saving_to = folder.parent
            super()._save_checkpoint(model, trial)
            self._saving_to = None
            best = run / f"checkpoint-{self.state.best_global_step}"
            if best.exists() or best.name == folder.name:
                # The parent class looked for it beside the folder it wrote to.
                self.state.best_model_checkpoint = str(best)
                if self.args.should_save:
                    self.state.save_to_json(str(folder / TRAINER_STATE_NAME))
        self._saved_at = step
        self._rotate()
        if self.args.push_to_hub:
            super()._push_from_checkpoint(str(run / folder.name))

    def _rotate(self) -> None:
        if self.args.should_save:
            rotate(Path(self.args.output_dir), self.args.save_total_limit, self.state.best_model_checkpoint)

    def save_now(self) -> None:
        """Save a checkpoint beside those that the arguments ask for; every process must call it."""
        self._save_checkpoint(self.model_wrapped, None)
        self.callback_handler.on_save(self.args, self.state, self.control)

    def _get_output_dir(self, trial: Any) -> str:
        return super()._get_output_dir(trial) if self._saving_to is None else str(self._saving_to)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Do nothing: the parent class calls this too early, `_save_checkpoint` pushes the sealed checkpoint."""

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        super()._save(output_dir, state_dict)
        # A pickle, which can run code when it is loaded; arguments.json has the same content.
        Path(output_dir or self.args.output_dir, TRAINING_ARGS_NAME).unlink(missing_ok=True)

    def _load_state(self, checkpoint: Path) -> None:
        """Check a checkpoint, restore what the parent class does not, cut metrics.jsonl back to its step."""
        main = self.is_world_process_zero()
        damage = damages(checkpoint, hashes=main)
        if damage:
            raise InputError(f"{checkpoint} is damaged: {'; '.join(damage)}; resume from an earlier one")
        seal = read_seal(checkpoint)
        read_on = self.stream is not None and not self.stream_begins
        needed = [MAML_STATE_FILE, "scheduler.pt"] + [STREAM_FILE] * read_on
        missing = [name for name in needed if name not in seal["files"]]
        if missing:
            raise InputError(
                f"{checkpoint} holds no {' and no '.join(missing)} (saved with save_only_model, from another kind of "
                "corpus, or by another trainer), which an exact resume needs: start a new run from its weights"
            )
        tensors = load_file(checkpoint / MAML_STATE_FILE)
        self._check_batches(checkpoint, {name: int(tensors[name]) for name in self._batches()}, seal["world_size"])
        if self.stream is not None and read_on and main:
            self.stream.load_state_dict(json.loads((checkpoint / STREAM_FILE).read_text()))
        if uncounted := self.counts.keys() - tensors.keys():
            raise InputError(
                f"{checkpoint} does not know {', '.join(sorted(uncounted))} since the start of the run: leave out "
                "what needs it (budgets of words in save_schedule), or start a new run"
            )
        self.counts = {name: int(tensors[name]) for name in self.counts}
        self._saved_at = -1 if seal["step"] is None else seal["step"]
        self.guard.load(tensors)
        self.load_tensors(tensors)
        if main:
            # What was measured of the untrained model is measured again.
            self.metrics_file.cut_back_to(seal["step"] or -1)

    def _check_batches(self, checkpoint: Path, before: dict[str, int], world_size: int) -> None:
        if before != self._batches():
            pairs = ", ".join(f"{name} {before[name]} -> {now}" for name, now in self._batches().items())
            raise InputError(
                f"{checkpoint} was saved with other batches: {pairs}; give the same per_device_train_batch_size times "
                "processes and gradient_accumulation_steps, on which the place in the corpus depends"
            )
        if world_size != self.args.world_size:
            logger.warning(
                f"{checkpoint} was saved by {world_size} processes and is resumed by {self.args.world_size}: batches "
                "and episodes are the same, but sums are added in another order, so weights agree up to rounding "
                "instead of bitwise"
            )

    def _batches(self) -> dict[str, int]:
        """The batch sizes on which the place in the corpus depends."""
        return {
            "micro_batch_size": self.args.per_device_train_batch_size * self.args.world_size,
            "gradient_accumulation_steps": self.args.gradient_accumulation_steps,
        }
