"""transformers' Trainer for runs that must not be lost."""

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
from transformers.trainer_utils import TrainOutput

from ...corpus import BlockStream
from ...corpus.stream_loader import StreamLoader
from ...errors import InputError
from ...process_group import sums
from ..checkpoints import damages, newest, read_seal, rotate, written_beside
from ..files import METRICS_FILE, PREEMPTED_FILE
from ..json_files import JsonLines
from .preemption import Preemption
from .safety_config import SafetyConfig
from .step_guard import StepGuard
from .trackers import TolerantTracker

logger = logging.getLogger(__name__)

MAML_STATE_FILE = "maml_state.safetensors"
STREAM_FILE = "stream.json"


class SafeTrainer(Trainer):
    """A Trainer whose checkpoints are whole or absent, which resumes bitwise, and which no signal or NaN ruins.

    - Checkpoints are written beside, sealed with hashes and renamed (see `checkpoints`); those that are damaged are
      set aside on resume. A streamed corpus goes on from its place.
    - SIGTERM or SIGUSR1 on any process: all save after the step they are in and end training; `preempted` is then
      true and the file PREEMPTED stands in `output_dir`.
    - Where loss or gradient of a step is not finite on any process, or the next-token loss a spike, all skip its
      update; `max_skipped_updates` in a row end the run with an InputError and the batch in a file.
    - A tracker that fails is left out; the run goes on.

    Every log goes to `output_dir/metrics.jsonl`. Subclasses keep more state by `tensors_to_save` and `load_tensors`.
    """

    args: SafetyConfig

    def __init__(self, model: nn.Module, args: SafetyConfig, train_dataset: Any, **kwargs: Any) -> None:
        self.stream: StreamLoader | None = None
        if isinstance(train_dataset, BlockStream):
            self.stream = StreamLoader(
                train_dataset,
                args.per_device_train_batch_size,
                args.device,
                num_workers=args.dataloader_num_workers,
                prefetch_factor=args.dataloader_prefetch_factor,
                persistent_workers=args.dataloader_persistent_workers,
                multiprocessing_context=args.dataloader_multiprocessing_context,
            )
            args.ignore_data_skip = True  # the stream knows its place: nothing is read again on a resume
        self.metrics_file = JsonLines(Path(args.output_dir, METRICS_FILE))
        self.counts = {"updates_skipped": 0}
        self.guard = StepGuard(args.max_skipped_updates, args.loss_spike)
        self.preemption = Preemption()
        self.preempted = False
        # Each is called on every process with the folder of a checkpoint, before it is complete.
        self.checkpoint_writers: list[Callable[[Path], None]] = []
        self._saving_to: Path | None = None
        super().__init__(model, args, train_dataset=train_dataset, **kwargs)
        handler, trackers = self.callback_handler, tuple(INTEGRATION_TO_CALLBACK.values())
        handler.callbacks = [TolerantTracker(c) if isinstance(c, trackers) else c for c in handler.callbacks]

    def tensors_to_save(self) -> dict[str, Tensor]:
        """State of a subclass, on the CPU; called on every process."""
        return {}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors_to_save` gave."""

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> TrainOutput:
        """Train; from a checkpoint folder of this run (True: the newest one), go on exactly where it was saved.

        Raises:
            InputError: output_dir holds another run, or the folder is no whole checkpoint of this trainer, or it was
                saved with other batches; updates had to be skipped too often; a checkpoint could not be written.
        """
        run, main = Path(self.args.output_dir), self.is_world_process_zero()
        checkpoint = Path(resume_from_checkpoint) if isinstance(resume_from_checkpoint, str) else None
        if resume_from_checkpoint is True:
            with self.args.main_process_first(local=False, desc="checkpoint"):
                checkpoint = newest(run, hashes=main)
        if checkpoint is not None:
            self._load_state(checkpoint)
        elif self.metrics_file.path.exists():
            raise InputError(f"{run} holds a run already: choose another output_dir, or resume it")
        if main:
            (run / PREEMPTED_FILE).unlink(missing_ok=True)
        self.preempted = False
        if checkpoint is not None:
            state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
            if state.global_step >= (self.args.max_steps if self.args.max_steps > 0 else state.max_steps):
                # Stopped after the last step; the parent class would make one more.
                self._load_from_checkpoint(str(checkpoint))
                self.state = state
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
        """One micro-batch, whose loss is remembered for the judgement of its step."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.guard.add(loss)
        return loss

    def get_train_dataloader(self) -> Any:
        """Batches of this process."""
        return super().get_train_dataloader() if self.stream is None else self.stream

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, and write every log to metrics.jsonl."""
        if self.preempted and "train_runtime" in logs:
            return  # the run is not over
        if self.stream is not None:
            self.state.epoch = self.state.global_step / self.state.max_steps  # of a stream: the share of the run
        super().log(logs, start_time)
        if self.is_world_process_zero():
            self.metrics_file.append(self.state.log_history[-1])

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """The norm; between the gradients and the update, all processes agree whether to update and to go on."""
        norm = super()._get_grad_norm(model, grad_norm)
        whole = norm.full_tensor() if isinstance(norm, DTensor) else torch.as_tensor(norm, device=self.args.device)
        *judged, asked = sums([*self.guard.on_this_process(whole), float(self.preemption.asked)])
        why = None if self.accelerator.scaler is not None else self.guard.judge(*judged)  # a scaler skips by itself
        if why is not None:
            self.counts["updates_skipped"] += 1
            model.zero_grad(set_to_none=True)  # an optimizer leaves alone what has no gradient
            if self.guard.in_a_row >= self.guard.limit:
                self._stop(why)
        self.guard.begin()
        if asked and self.state.global_step + 1 < self.state.max_steps:
            self.preempted = True
            self.control.should_save = self.control.should_training_stop = True
        return norm

    def _stop(self, why: str) -> None:
        """End a run that has skipped too many updates: log, keep the batch, and say what is left."""
        run = Path(self.args.output_dir)
        self.state.global_step += 1  # it was made, though nothing came of it
        step = self.state.global_step
        batch = run / f"skipped-step-{step}-process-{self.args.process_index}.safetensors"
        save_file({"input_ids": torch.stack(self.guard.batches).cpu()}, batch)  # (micro-batches, B, T)
        self.log({"loss": math.nan})
        last = newest(run, hashes=False)
        left = f"the last checkpoint is {last.name}, from which --resume goes on" if last else "nothing was saved yet"
        raise InputError(
            f"{self.guard.in_a_row} updates in a row were skipped, up to step {step} (loss or gradient: {why}); its "
            f"batch is in {batch}; {left}: look at the text, lower learning_rate, or raise max_skipped_updates"
        )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save checkpoint-N: written beside, sealed, renamed; what follows (rotation, pushing) sees it whole."""
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
                # The parent class looked for it in the folder it wrote to.
                self.state.best_model_checkpoint = str(best)
                if self.args.should_save:
                    self.state.save_to_json(str(folder / TRAINER_STATE_NAME))
        if self.args.should_save:
            rotate(run, self.args.save_total_limit, self.state.best_model_checkpoint)
        if self.args.push_to_hub:
            super()._push_from_checkpoint(str(run / folder.name))

    def _get_output_dir(self, trial: Any) -> str:
        return super()._get_output_dir(trial) if self._saving_to is None else str(self._saving_to)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Nothing yet: the parent class calls this while it saves; `_save_checkpoint` pushes what is complete."""

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        super()._save(output_dir, state_dict)
        # A pickle, which nobody should have to trust; arguments.json says the same.
        Path(output_dir or self.args.output_dir, TRAINING_ARGS_NAME).unlink(missing_ok=True)

    def _load_state(self, checkpoint: Path) -> None:
        """Check a checkpoint, take back what the parent class does not know, cut metrics.jsonl to its step."""
        main = self.is_world_process_zero()
        wrong = damages(checkpoint, hashes=main)
        if wrong:
            raise InputError(f"{checkpoint} is no whole checkpoint: {'; '.join(wrong)}; resume from an earlier one")
        seal = read_seal(checkpoint)
        needed = [MAML_STATE_FILE, "scheduler.pt"] + [STREAM_FILE] * (self.stream is not None)
        missing = [name for name in needed if name not in seal["files"]]
        if missing:
            raise InputError(
                f"{checkpoint} holds no {' and no '.join(missing)} (saved with save_only_model, from another kind of "
                "corpus, or by another trainer), without which nothing goes on exactly: begin a new run from its "
                "weights instead"
            )
        tensors = load_file(checkpoint / MAML_STATE_FILE)
        self._check_batches(checkpoint, {name: int(tensors[name]) for name in self._batches()}, seal["world_size"])
        if self.stream is not None and main:
            self.stream.load_state_dict(json.loads((checkpoint / STREAM_FILE).read_text()))
        self.counts = {name: int(tensors[name]) for name in self.counts}
        self.guard.load(tensors)
        self.load_tensors(tensors)
        if main:
            self.metrics_file.cut_back_to(seal["step"])

    def _check_batches(self, checkpoint: Path, before: dict[str, int], world_size: int) -> None:
        if before != self._batches():
            pairs = ", ".join(f"{name} {before[name]} -> {now}" for name, now in self._batches().items())
            raise InputError(
                f"{checkpoint} was saved with other batches: {pairs}; per_device_train_batch_size times processes, "
                "and gradient_accumulation_steps, must be as they were, else the place in the corpus is lost"
            )
        if world_size != self.args.world_size:
            logger.warning(
                "%s was saved by %d processes and goes on with %d: the same batches and episodes, but sums are added "
                "in another order, so weights agree to rounding and not bitwise",
                checkpoint,
                world_size,
                self.args.world_size,
            )

    def _batches(self) -> dict[str, int]:
        """What a position in the corpus is counted in."""
        return {
            "micro_batch_size": self.args.per_device_train_batch_size * self.args.world_size,
            "gradient_accumulation_steps": self.args.gradient_accumulation_steps,
        }
