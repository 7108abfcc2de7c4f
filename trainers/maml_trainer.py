"""`MAMLTrainer`: next-token prediction interleaved with episodes of meta-learning."""

import logging
import time
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, Trainer
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.trainer import TRAINER_STATE_NAME, TRAINING_ARGS_NAME
from transformers.trainer_utils import TrainOutput

from ..modeling_pico import PicoForCausalLM
from .checkpoints import damages, newest, read_seal, rotate, written_beside
from .corpus import WordTable, collate_blocks
from .episode_pool import first_blocks
from .episode_source import EpisodeSource
from .episodes import Episode, episode_generator
from .errors import InputError
from .maml_config import MAMLConfig
from .meta.meta_model import EpisodeOutput, PicoForMetaCausalLM
from .metrics import Meter, MetricsFile
from .process_group import leave

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"
MAML_STATE_FILE = "maml_state.safetensors"


class MAMLTrainer(Trainer):
    """Pretrain a Pico model with hybrid meta-learning (section 3 of the paper).

    Logged every `logging_steps`, each a mean over the micro-batches of its kind since the last log:
    `next_token_loss` (nats a token), `query_loss` (nats), `support_accuracy`, `query_accuracy_before` and
    `query_accuracy` (before and after the inner loop), `adaptation_gain` (their difference), `prototype_accuracy`
    (nearest class prototypes, the baseline without a head), `class_0_share` and `support_class_0_share` (what always
    answering class 0 would score; 1/N in a true episode); and running counts: `episodes`, `episodes_skipped`
    (too few words in the pool), `tokens_seen` (drawn from the corpus), `next_token_tokens` (of these, trained on by
    next-token prediction), `tokens_per_second`. They go to `output_dir/metrics.jsonl` and to `report_to`.

    Args:
        model: the language model; the head of the episodes is put beside it.
        args: the arguments.
        train_dataset: rows of `input_ids`, blocks of T + 1 token ids (see `trainers.corpus.make_blocks`).
        processing_class: the tokenizer; tells which ids are words and which is the mask.
        kwargs: passed on to `transformers.Trainer`.

    Raises:
        InputError: the tokenizer does not fit the model, or the corpus does not fit the arguments.
    """

    args: MAMLConfig

    def __init__(
        self,
        model: PicoForCausalLM,
        args: MAMLConfig,
        train_dataset: Any,
        processing_class: PreTrainedTokenizerBase,
        **kwargs: Any,
    ) -> None:
        _check_tokenizer(processing_class, model.config.vocab_size)
        if args.n_gpu > 1:
            raise InputError(
                f"{args.n_gpu} GPUs in one process: start one process a GPU with `accelerate launch -m`, "
                "or choose one with CUDA_VISIBLE_DEVICES"
            )
        if is_deepspeed_zero3_enabled():
            raise InputError("ZeRO-3 takes the head's weights apart, which the inner loop reads: use ZeRO-2 or FSDP2")
        if not isinstance(model, PicoForMetaCausalLM):
            model = PicoForMetaCausalLM.from_causal_lm(model, args.seed, **args.head())
        else:
            _check_head(model.config.meta_head, args)
        if args.compile_backbone:
            model.pico_decoder.compile(dynamic=False)
        # With these a checkpoint can be evaluated the way it was trained.
        model.config.episode = {"hybrid_ratio": args.hybrid_ratio, **args.episode_settings()}
        self.words = WordTable.from_tokenizer(processing_class, model.config.vocab_size)
        self.source = EpisodeSource(args, self.words, processing_class.mask_token_id)
        # Before the parent class makes a folder.
        self._check_corpus(train_dataset, model.config.vocab_size)
        kwargs.setdefault("data_collator", collate_blocks)
        super().__init__(model, args, train_dataset=train_dataset, processing_class=processing_class, **kwargs)
        self.label_names = ["shift_labels"]
        self.meter = Meter(args.device)
        self.metrics_file = MetricsFile(Path(args.output_dir, METRICS_FILE))
        self.counts = {"episodes": 0, "episodes_skipped": 0, "tokens_seen": 0, "next_token_tokens": 0}
        # Each is called on every process with the folder of a checkpoint, before it is complete.
        self.checkpoint_writers: list[Callable[[Path], None]] = []
        self._saving_to: Path | None = None
        self._micro_batch = (-1, 0)
        self._last_log: tuple[float, int] | None = None

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """One micro-batch: next-token prediction; with probability `hybrid_ratio` an episode instead, or as well."""
        inputs = self._prepare_inputs(inputs)
        self.source.before(inputs["input_ids"])
        # The draw depends on seed, step and micro-batch alone: the same on every rank, and after a resume.
        generator = episode_generator(self.args.seed, self.state.global_step, self._next_micro_batch())
        drawn = bool(torch.rand((), generator=generator) < self.args.hybrid_ratio)
        episode = self.source.draw(inputs["input_ids"], generator) if drawn else None
        replaced = episode is not None and self.args.hybrid_mode == "replace"
        self._count(inputs["input_ids"].numel(), drawn, episode, replaced)
        if self.source.streams:
            inputs["keep_states"] = True
        if episode is not None:
            inputs = ({} if replaced else inputs) | self.episode_inputs(episode, generator)
        return super().training_step(model, inputs, num_items_in_batch)

    def episode_inputs(self, episode: Episode, generator: torch.Generator) -> dict[str, Any]:
        """What the model's forward takes for an episode."""
        episode = episode.to(self.args.device)
        return {
            "episode": episode,
            "inner": self.args.inner_loop(),
            "query_weight": self.args.query_weight(self.state.global_step),
            "dropout_seed": int(torch.randint(2**62, (), generator=generator)),
            "support_features": self.source.support_features(episode),
        }

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a micro-batch; in training its metrics are recorded, each objective apart."""
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
        if model.training:
            next_token = loss.detach()
            if isinstance(outputs, EpisodeOutput):
                next_token = outputs.next_token_loss
                for name, (total, count) in (outputs.metrics or {}).items():
                    self.meter.add(name, total, count)
                if outputs.states is not None:
                    self.source.after(inputs["input_ids"], outputs.states)
            if next_token is not None:
                self.meter.add("next_token_loss", next_token)
        return (loss, outputs) if return_outputs else loss

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Names of the weights that decay; learned inner learning rates do not."""
        return [name for name in super().get_decay_parameter_names(model) if "log_inner_lr" not in name]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the recorded metrics to a training log, and write every log to metrics.jsonl."""
        if "loss" in logs:
            # The Trainer's loss is a mean over both objectives, which says nothing about either.
            del logs["loss"]
            logs.update(self.meter.pop(self.accelerator))
            logs.update(self.counts)
            logs.update(self._throughput())
        logs.pop("train_loss", None)
        super().log(logs, start_time)
        if self.is_world_process_zero():
            self.metrics_file.append(self.state.log_history[-1])

    def record(self, values: dict[str, Tensor | float]) -> None:
        """Add values to the next training log, for callbacks; every process must record the same names."""
        for name, value in values.items():
            self.meter.add(name, value)

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> TrainOutput:
        """Train; from a checkpoint folder of this run (True: the newest one), go on exactly where it was saved.

        Raises:
            InputError: output_dir holds another run, or the folder is no whole checkpoint of this trainer, or it was
                saved with other batches.
        """
        main = self.is_world_process_zero()
        checkpoint = Path(resume_from_checkpoint) if isinstance(resume_from_checkpoint, str) else None
        if resume_from_checkpoint is True:
            with self.args.main_process_first(local=False, desc="checkpoint"):
                checkpoint = newest(Path(self.args.output_dir), hashes=main)
        if checkpoint is not None:
            self._load_state(checkpoint)
        elif self.metrics_file.exists:
            raise InputError(f"{self.args.output_dir} holds a run already: choose another output_dir, or resume it")
        return super().train(resume_from_checkpoint=str(checkpoint) if checkpoint else None, **kwargs)

    def end(self) -> None:
        """Finish the trackers and the process group; once, at the very end of a script."""
        leave()
        super().end()

    def _check_corpus(self, dataset: Any, vocab_size: int) -> None:
        """Let the episodes try the start of the corpus."""
        batch = self.source.pool.global_batch
        if isinstance(dataset, Sized) and len(dataset) < batch:
            raise InputError(
                f"the corpus has {len(dataset)} blocks, fewer than the {batch} of one batch over all "
                "processes: lower per_device_train_batch_size or block_size, or give more text"
            )
        blocks = first_blocks(dataset, self.source.blocks_to_check)
        if blocks.max() >= vocab_size:
            raise InputError(
                f"the corpus holds the token id {blocks.max()}, the model only {vocab_size} tokens: "
                "raise its vocab_size, or tokenise with its own tokenizer"
            )
        self.source.start(blocks)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save checkpoint-N: written beside, sealed, renamed; what follows (rotation, pushing) sees it whole."""
        run, step = Path(self.args.output_dir), self.state.global_step
        kept = self.source.state()
        sums = self.meter.sums(self.accelerator)
        with written_beside(run, step, self.args.should_save) as folder:
            if self.args.should_save:
                tensors = {name: torch.tensor(count) for name, count in (self.counts | self._batches()).items()}
                tensors |= {f"meter.{name}": pair.clone() for name, pair in sums.items()}
                save_file({**tensors, **kept}, folder / MAML_STATE_FILE)
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
        """Take back the pool, the counts and metrics not logged yet; cut metrics.jsonl to the checkpoint's step."""
        main = self.is_world_process_zero()
        wrong = damages(checkpoint, hashes=main)
        if wrong:
            raise InputError(f"{checkpoint} is no whole checkpoint: {'; '.join(wrong)}; resume from an earlier one")
        seal = read_seal(checkpoint)
        missing = [name for name in (MAML_STATE_FILE, "scheduler.pt") if name not in seal["files"]]
        if missing:
            raise InputError(
                f"{checkpoint} holds no {' and no '.join(missing)} (saved with save_only_model, or by another "
                "trainer), without which nothing goes on exactly: begin a new run from its weights instead"
            )
        tensors = load_file(checkpoint / MAML_STATE_FILE)
        before = {name: int(tensors[name]) for name in self._batches()}
        if before != self._batches():
            pairs = ", ".join(f"{name} {before[name]} -> {now}" for name, now in self._batches().items())
            raise InputError(
                f"{checkpoint} was saved with other batches: {pairs}; per_device_train_batch_size times processes, "
                "and gradient_accumulation_steps, must be as they were, else the place in the corpus is lost"
            )
        if seal["world_size"] != self.args.world_size:
            logger.warning(
                "%s was saved by %d processes and goes on with %d: the same batches and episodes, but sums are added "
                "in another order, so weights agree to rounding and not bitwise",
                checkpoint,
                seal["world_size"],
                self.args.world_size,
            )
        self.source.load(tensors)
        self.counts = {name: int(tensors[name]) for name in self.counts}
        meter = {name: pair for name, pair in tensors.items() if name.startswith("meter.")}
        self.meter.load({name.removeprefix("meter."): pair for name, pair in meter.items()}, main)
        if main:
            self.metrics_file.keep_until(seal["step"])

    def _batches(self) -> dict[str, int]:
        """What a position in the corpus is counted in."""
        return {
            "micro_batch_size": self.args.per_device_train_batch_size * self.args.world_size,
            "gradient_accumulation_steps": self.args.gradient_accumulation_steps,
        }

    def _next_micro_batch(self) -> int:
        """Number of this micro-batch within its optimizer step."""
        step, number = self._micro_batch
        number = number + 1 if step == self.state.global_step else 0
        self._micro_batch = (self.state.global_step, number)
        return number

    def _count(self, tokens: int, drawn: bool, episode: Episode | None, replaced: bool) -> None:
        """Count a micro-batch of `tokens` tokens on each process, before it is run."""
        if self._last_log is None:
            self._last_log = (time.perf_counter(), self.counts["tokens_seen"])
        tokens *= self.args.world_size
        self.counts["tokens_seen"] += tokens
        self.counts["next_token_tokens"] += 0 if replaced else tokens
        self.counts["episodes"] += episode is not None
        self.counts["episodes_skipped"] += drawn and episode is None

    def _throughput(self) -> dict[str, float]:
        """Tokens a second since the last log; evaluations in between count as time."""
        now, tokens = time.perf_counter(), self.counts["tokens_seen"]
        then, before = self._last_log or (now, tokens)
        self._last_log = (now, tokens)
        return {"tokens_per_second": (tokens - before) / (now - then)} if now > then else {}


def _check_head(head: dict[str, Any], args: MAMLConfig) -> None:
    wanted = args.head()
    if head["ways"] != args.n_way:
        raise InputError(
            f"n_way is {args.n_way}, but the model's head tells {head['ways']} words apart: "
            "set n_way to that, or start from a model without a head"
        )
    differs = [name for name in ("layers", "hidden_dim", "learned_lr_steps") if head.get(name, 0) != wanted[name]]
    if differs:
        pairs = ", ".join(f"{name} {head.get(name)} -> {wanted[name]}" for name in differs)
        raise InputError(f"the model's head was made with other arguments: {pairs}; start from a model without a head")


def _check_tokenizer(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> None:
    if tokenizer.mask_token_id is None:
        raise InputError('the tokenizer has no mask token: call add_special_tokens({"mask_token": "[MASK]"}) first')
    if len(tokenizer) > vocab_size:
        raise InputError(
            f"the tokenizer has {len(tokenizer)} tokens, the model only {vocab_size}: raise the model's vocab_size"
        )
