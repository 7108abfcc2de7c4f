"""`MAMLTrainer`: next-token prediction interleaved with episodes of meta-learning.

`training_step` is the loop's body. Where each part is decided:

- which micro-batches have an episode: `training_step`;
- which words and windows an episode has: `episode_source`, `episodes.sampling`; of a class episode
  `class_episodes.source` and `.sampling`, of labelled tasks `tasks.source` and `.sampling`;
- how its head is adapted and what its loss is: `meta.inner_loop`, `meta.episode_loss`, `class_episodes.loss`;
- whether the optimizer takes the step: `runs.safety.step_guard`.
"""

import time
from collections.abc import Sized
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.integrations import is_deepspeed_zero3_enabled

from .compute_clock import SAMPLING, TRAINING, ComputeClock
from .corpus import MixedBlocks, MixedStream, check_vocabulary, collate_blocks, first_blocks
from .corpus.word_count import WordStartCounter
from .devices import copied
from .drawing import DrawsEpisodes
from .episode_setup import new_source, record_episodes, with_head
from .episodes import episode_generator, has_episode
from .errors import InputError
from .maml_config import MAMLConfig
from .meta.episode_model import EpisodeModel, EpisodeOutput
from .meta.gradient_share import GradientShare
from .meter import Meter
from .model_files import ModelFiles
from .muon import MuonWithAdamW, muon_groups
from .process_group import leave, sums
from .runs.checkpoints.schedule import SaveSchedule, TextRead
from .scheduled_saves import ScheduledSaves
from .source_metrics import SourceMetrics
from .tasks.sampling import TaskEpisode
from .word_classes import WordClasses


class MAMLTrainer(ModelFiles):
    """Pretrain a Pico, or go on with any other language model, with hybrid meta-learning (section 3 of the paper).

    Logged to `output_dir/metrics.jsonl` and `report_to` every `logging_steps`:

    - means over the micro-batches since the last log: `next_token_loss` (nats a token) and the metrics of episodes,
      which `EpisodeOutput` defines, with `episode_gradient_share` also the `query_loss_weight` it led to; those of
      episodes from `task_files` start with `task_`, and `task_chance` is the mean of 1 / N;
    - of a mixture of corpora the running count `tokens_seen/NAME` and the mean `next_token_loss/NAME` of each source;
    - running counts: `episodes` (of these `task_episodes` from `task_files`), `episodes_skipped` (too few words in
      the pool), `updates_skipped` (see `SafeTrainer`), `tokens_seen` (read from the corpus), `next_token_tokens` (of
      these, for next-token prediction);
    - `tokens_per_second` since the last log, and `clipped_steps`: the share of steps since then whose gradient was
      longer than `max_grad_norm`;
    - `training_cpu_seconds`, `sampling_cpu_seconds` and `other_cpu_seconds`, or the same of GPUs, since the start
      (see `ComputeClock`).

    It resumes exactly, saves on preemption and skips updates that are not finite: see `SafeTrainer`.

    Args:
        model: the language model, which is trained in place; it gets the head of the episodes unless it has one. One
            that is no Pico is `model.causal_lm` of the trainer, and saved as its own class (see `MetaCausalLM`).
        args: the arguments.
        train_dataset: rows of `input_ids`, blocks of T + 1 token ids, and of `document`, the document of each (see
            `trainers.corpus.make_blocks`), or a mixture of such rows (see `trainers.corpus.mix_blocks`).
        processing_class: the tokenizer, which tells words and the mask token.
        word_classes: the classes of words that class episodes have; None for word episodes.
        kwargs: arguments of `transformers.Trainer`.

    Raises:
        InputError: episodes cannot read the model, the tokenizer does not fit it, or the corpus the arguments.
    """

    args: MAMLConfig
    optimizer: Any  # None until it is created

    def __init__(
        self,
        model: PreTrainedModel | EpisodeModel,
        args: MAMLConfig,
        train_dataset: Any,
        processing_class: PreTrainedTokenizerBase,
        word_classes: WordClasses | None = None,
        **kwargs: Any,
    ) -> None:
        check_vocabulary(processing_class, model.config.vocab_size, with_mask=args.needs_mask)
        if args.n_gpu > 1:
            raise InputError(
                f"{args.n_gpu} GPUs in one process: start one process a GPU with `accelerate launch -m`, "
                "or choose one with CUDA_VISIBLE_DEVICES"
            )
        if is_deepspeed_zero3_enabled():
            raise InputError("ZeRO-3 splits the head's weights, which the inner loop reads: use ZeRO-2 or FSDP2")
        model = with_head(model, args, word_classes)
        if args.compile_backbone:
            model.backbone.compile(dynamic=False)
        self.source: DrawsEpisodes[Any] = new_source(args, processing_class, model.config, word_classes)
        record_episodes(model.config, args, self.source)
        self._check_corpus(train_dataset, model.config.vocab_size)  # before the parent class creates a folder
        kwargs.setdefault("data_collator", collate_blocks)
        super().__init__(model, args, train_dataset=train_dataset, processing_class=processing_class, **kwargs)
        self.label_names = ["shift_labels"]
        self.meter = Meter(args.device)
        names = train_dataset.names if isinstance(train_dataset, MixedBlocks | MixedStream) else []
        self.mixture = SourceMetrics(names)
        self.gradient_share = GradientShare(args.episode_gradient_share) if args.episode_gradient_share else None
        self.clock = ComputeClock(args.device)
        self.callback_handler.callbacks.insert(0, self.clock)  # what the other callbacks do is not training
        self.checkpoint_writers.append(self.clock.save)
        if word_classes is not None and self.is_world_process_zero():
            self.checkpoint_writers.append(word_classes.save)
        schedule = SaveSchedule(args.save_schedule)
        self.saves = ScheduledSaves(schedule, self.text_read, self.save_now)
        self.add_callback(self.saves)
        self.checkpoint_writers.append(self.saves.mark)
        self.word_counter = WordStartCounter(processing_class, model.config.vocab_size) if schedule.words else None
        self.counts |= {"episodes": 0, "episodes_skipped": 0, "tokens_seen": 0, "next_token_tokens": 0}
        if self.word_counter is not None:
            self.counts["words_seen"] = 0
        if args.task_files:
            self.counts["task_episodes"] = 0
        self._new_words: Tensor | int = 0  # of this process, which counts do not have yet
        self._micro_batch = (-1, 0)
        self._last_log: tuple[float, int] | None = None

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Fetch the batches of an optimizer step, with which the step begins."""
        self.clock.switch(TRAINING)
        return super().get_batch_samples(*args, **kwargs)

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Train on a micro-batch: next-token prediction, and with probability `hybrid_ratio` an episode."""
        # Words are found in these on the CPU, so that drawing an episode does not wait for a GPU.
        input_ids, documents, sources = inputs["input_ids"], inputs.get("document"), inputs.get("source")
        read = {name: part for name, part in inputs.items() if name not in ("document", "source")}
        inputs = {name: copied(part, self.args.device) for name, part in read.items()}
        self.guard.see(input_ids)
        if self.word_counter is not None:
            self._new_words = self._new_words + self.word_counter.count(input_ids)
        if sources is not None:
            self.mixture.see(sources, input_ids.shape[1])
            inputs["by_row"] = True
        self.source.before(input_ids, documents)
        # The draw depends on seed, step and micro-batch alone: the same on every rank and after a resume.
        generator = episode_generator(self.args.seed, self.state.global_step, self._next_micro_batch())
        drawn = has_episode(generator, self.args.hybrid_ratio)
        episode = None
        if drawn:
            self.clock.switch(SAMPLING)
            episode = self.source.draw(input_ids, generator)
            self.clock.switch(TRAINING)
        replaced = episode is not None and self.args.hybrid_mode == "replace"
        self._count(input_ids.numel(), drawn, episode, replaced)
        if self.source.streams:
            inputs["keep_states"] = True
        if episode is not None:
            text, inputs = inputs, ({} if replaced else inputs) | self.episode_inputs(episode, generator)
            if self.gradient_share is not None:
                self._scale_gradient(self.gradient_share, text, inputs)
        return super().training_step(model, inputs, num_items_in_batch)

    def episode_inputs(self, episode: Any, generator: torch.Generator) -> dict[str, Any]:
        """Return the arguments of the model's forward for an episode."""
        episode = episode.to(self.args.device)
        return {
            "episode": episode,
            "inner": self.args.inner_loop(),
            "query_weight": self.args.query_weight(self.state.global_step, self.state.max_steps),
            "dropout_seed": int(torch.randint(2**62, (), generator=generator)),
            **self.source.inputs(episode),
        }

    def text_read(self) -> TextRead:
        """Return what was read so far, the same on every process, which must all call it; words only if budgeted."""
        if self.word_counter is not None:
            (words,) = sums([float(self._new_words)])
            self.counts["words_seen"] += int(words)
            self._new_words = 0
        return TextRead(self.counts["tokens_seen"], self.counts.get("words_seen", 0))

    def _scale_gradient(self, share: GradientShare, text: dict[str, Any], inputs: dict[str, Any]) -> None:
        """Multiply the episode's `query_weight` by the weight that scales its gradient, and log it."""
        if share.is_due(self.state.global_step):
            with self.accelerator.autocast():
                share.measure(self.model, self.state.global_step, text, inputs)
        inputs["query_weight"] *= share.weight
        self.meter.add("query_loss_weight", inputs["query_weight"])

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of a micro-batch, and in training record the metrics of each objective."""
        inputs.pop("document", None)  # a column of evaluation data, which the model does not read
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
        if model.training:
            next_token = loss.detach()
            if isinstance(outputs, EpisodeOutput):
                next_token = outputs.next_token_loss
                metrics, episode = outputs.metrics or {}, inputs.get("episode")
                if isinstance(episode, TaskEpisode):
                    metrics = episode.metrics(metrics)
                for name, (total, count) in metrics.items():
                    self.meter.add(name, total, count)
                if outputs.row_losses is not None:
                    self.mixture.record(outputs.row_losses, self.meter)
                self.source.after(outputs)
            if next_token is not None:
                self.meter.add("next_token_loss", next_token)
                self.guard.add_next_token(next_token)
        return (loss, outputs) if return_outputs else loss

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm)
        if self.args.max_grad_norm > 0:
            self.meter.add("clipped_steps", norm > self.args.max_grad_norm)
        return norm

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Create the schedule of the learning rate, which ends at `lr_schedule_steps` if that is given."""
        steps = self.args.lr_schedule_steps or num_training_steps
        self.args.lr_scheduler_kwargs = self.args.scheduler_arguments(steps)
        return super().create_scheduler(steps, optimizer)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Create the optimizer: transformers' choice, or Muon for matrices of the layers and AdamW for the rest."""
        if self.args.matrix_optimizer == "muon" and self.optimizer is None:
            model = self.model if model is None else model
            if any(isinstance(parameter, DTensor) for parameter in model.parameters()):
                raise InputError("matrix_optimizer muon needs whole matrices, which FSDP shards: train with DDP")
            decay = set(self.get_decay_parameter_names(model))
            betas = (self.args.adam_beta1, self.args.adam_beta2)
            groups = muon_groups(model, decay, self.args.weight_decay)
            self.optimizer = MuonWithAdamW(groups, self.args.learning_rate, betas=betas, eps=self.args.adam_epsilon)
        return super().create_optimizer(model)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Exclude learned inner learning rates from weight decay, and norms and biases unless all are to decay."""
        names = super().get_decay_parameter_names(model)
        if self.args.decay_all_weights:
            names = [name for name, _ in model.named_parameters()]
        return [name for name in names if "log_inner_lr" not in name]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the recorded metrics to a training log, in place of the Trainer's mean over both objectives."""
        if logs.pop("loss", None) is not None:
            counts = self.counts | self.mixture.total()
            logs.update(self.meter.pop(self.accelerator) | counts | self._throughput() | self.clock.totals())
        logs.pop("train_loss", None)
        super().log(logs, start_time)

    def record(self, values: dict[str, Tensor | float]) -> None:
        """Add values of a callback to the next training log; every process must record the same names."""
        for name, value in values.items():
            self.meter.add(name, value)

    def tensors_to_save(self) -> dict[str, Tensor]:
        """Return the pool, the counts, the lengths of gradients, and the metrics since the last log."""
        sums = self.meter.sums(self.accelerator)
        counts = self.counts | self.mixture.total()
        tensors = {name: torch.tensor(count) for name, count in counts.items()}
        if self.gradient_share is not None:
            tensors |= self.gradient_share.state()
        return tensors | {f"meter.{name}": pair.clone() for name, pair in sums.items()} | self.source.state()

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors_to_save` returned."""
        self.source.load(tensors)
        self.mixture.load(tensors)
        if self.gradient_share is not None:
            self.gradient_share.load(tensors)
        # A branch may count what the run before it did not.
        self.counts = {name: int(tensors[name]) if name in tensors else 0 for name in self.counts}
        sums = {name.removeprefix("meter."): pair for name, pair in tensors.items() if name.startswith("meter.")}
        self.meter.load(sums, self.is_world_process_zero())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Load both; a branch keeps its own learning rate, schedule, weight decay and betas."""
        own = [{name: group[name] for name in group if name != "params"} for group in self.optimizer.param_groups]
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None or Path(checkpoint).resolve().parent == Path(self.args.output_dir).resolve():
            return
        schedule = self.lr_scheduler
        schedule.base_lrs = [group["initial_lr"] for group in own]
        for group, values, share in zip(self.optimizer.param_groups, own, schedule.lr_lambdas, strict=True):
            group.update(values)
            group["lr"] = values["initial_lr"] * share(schedule.last_epoch)
        schedule._last_lr = [group["lr"] for group in self.optimizer.param_groups]  # which is logged

    def _load_state(self, checkpoint: Path) -> None:
        super()._load_state(checkpoint)
        self.clock.load(checkpoint)

    def end(self) -> None:
        """Finish the trackers and leave the process group; call it once, at the end of a script."""
        leave()
        super().end()

    def _set_signature_columns_if_needed(self) -> None:
        """Keep the columns `document` and `source`, although the model's forward does not take them."""
        super()._set_signature_columns_if_needed()
        self._signature_columns += [name for name in ("document", "source") if name not in self._signature_columns]

    def _check_corpus(self, dataset: Any, vocab_size: int) -> None:
        """Raise InputError unless the start of the corpus fits the model and has words for an episode."""
        batch = self.source.global_batch
        if isinstance(dataset, Sized) and len(dataset) < batch:
            raise InputError(
                f"the corpus has {len(dataset)} blocks, fewer than the {batch} of one batch over all "
                "processes: lower per_device_train_batch_size or block_size, or give more text"
            )
        blocks, documents = (part[:, :-1] for part in first_blocks(dataset, self.source.blocks_to_check))
        if blocks.max() >= vocab_size:
            raise InputError(
                f"the corpus has the token id {blocks.max()}, but the model's vocab_size is {vocab_size}: "
                "raise it, or tokenise with the model's own tokenizer"
            )
        self.source.start(blocks, documents)

    def _next_micro_batch(self) -> int:
        """Return the number of this micro-batch within its optimizer step."""
        step, number = self._micro_batch
        number = number + 1 if step == self.state.global_step else 0
        self._micro_batch = (self.state.global_step, number)
        return number

    def _count(self, tokens: int, drawn: bool, episode: Any, replaced: bool) -> None:
        """Count a micro-batch of `tokens` tokens a process, before it runs."""
        if self._last_log is None:
            self._last_log = (time.perf_counter(), self.counts["tokens_seen"])
        tokens *= self.args.world_size
        self.counts["tokens_seen"] += tokens
        self.counts["next_token_tokens"] += 0 if replaced else tokens
        self.counts["episodes"] += episode is not None
        self.counts["episodes_skipped"] += drawn and episode is None
        if isinstance(episode, TaskEpisode):
            self.counts["task_episodes"] += 1

    def _throughput(self) -> dict[str, float]:
        """Return tokens a second since the last log, including the time of evaluations."""
        now, tokens = time.perf_counter(), self.counts["tokens_seen"]
        then, before = self._last_log or (now, tokens)
        self._last_log = (now, tokens)
        return {"tokens_per_second": (tokens - before) / (now - then)} if now > then else {}
