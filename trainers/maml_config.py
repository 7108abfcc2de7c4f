"""Arguments of `MAMLTrainer`: transformers' `TrainingArguments` and those of the episodes."""

from dataclasses import dataclass
from math import isinf
from typing import Any

from transformers.hf_argparser import HfArg
from transformers.trainer_utils import SchedulerType

from .checks import check_at_least, check_choice
from .class_episodes.config import ClassEpisodeConfig
from .errors import InputError
from .meta.episode_loss import InnerLoop
from .meta.inner_loop import HEAD_INITIALIZERS
from .runs.checkpoints.schedule import SaveSchedule
from .runs.safety.safety_config import SafetyConfig
from .tasks.config import TaskConfig


@dataclass
class MAMLConfig(ClassEpisodeConfig, TaskConfig, SafetyConfig):
    """Arguments of hybrid pretraining, with those of `ClassEpisodeConfig`, `TaskConfig` and `SafetyConfig`.

    Raises:
        InputError: a value is out of its range, or two arguments exclude each other.
    """

    hybrid_ratio: float = HfArg(
        default=0.5, help="Probability that a micro-batch has an episode (0: vanilla pretraining)."
    )
    hybrid_mode: str = HfArg(
        default="replace", help="An episode's loss `replace`s that of next-token prediction, or is an `add`ed term."
    )
    query_loss_weight: float = HfArg(default=1.0, help="Weight of the query loss.")
    query_loss_warmup_steps: int = HfArg(
        default=0, help="Optimizer steps in which that weight rises linearly from 0 (0: none)."
    )
    episode_gradient_share: float = HfArg(
        default=0.0,
        help="Weigh the query loss so that its gradient over the decoder is this share as long as next-token "
        "prediction's (0: weigh by query_loss_weight).",
    )
    query_loss_annealing: float = HfArg(
        default=0.0, help="Share of the run, at its end, in which that weight falls linearly to 0 (0: none)."
    )
    episode_sampler: str = HfArg(
        default="smlmt", help="`smlmt`: N-way K-shot tasks; `random_positions`: as the paper's published code."
    )
    episode_states: str = HfArg(
        default="windows",
        help="`windows`: encode a window for each example; `stream`: use states of next-token passes.",
    )
    episode_labels: str = HfArg(
        default="own",
        help="Labels of the query set: its `own`, or `shuffled` within the episode: a control that has nothing to "
        "learn, for what any auxiliary loss does. Classes of words are shuffled once, among words of like frequency.",
    )
    first_order: bool = HfArg(
        default=True, help="FOMAML; false: exact gradients through inner loop and support states."
    )
    learn_inner_lr: bool = HfArg(
        default=False, help="Learn the inner learning rate of each layer and step, starting at inner_lr."
    )
    episode_pool: int = HfArg(default=64, help="Latest blocks, over all processes, that episodes are drawn from.")
    matrix_optimizer: str = HfArg(
        default="adamw",
        help="Optimizer of the matrices in the layers, `adamw` or `muon`; AdamW has the rest.",
    )
    save_schedule: list[str] = HfArg(
        default_factory=list,
        help="Checkpoints that are kept beside those of save_steps: steps (0: the untrained model), `powers` of two, "
        "budgets such as 2Mtokens or 500Kwords, or `babylm` (1M to 1B words).",
    )
    compile_backbone: bool = HfArg(
        default=False, help="torch.compile the decoder, once for each of the few shapes of a run."
    )
    head_layers: int = HfArg(default=4, help="Linear layers of the episodes' head.")
    head_hidden_dim: int = HfArg(default=128, help="Width between the head's layers.")
    head_dropout: float = HfArg(default=0.1, help="Dropout between the head's layers (0: none).")

    head_initializer: str = HfArg(
        default="xavier",
        help="Head's random weights. `xavier` (paper, Table 10; biases 0) or `published` (as its code: smaller "
        "weights in the last layer, which was as wide as the vocabulary, and torch's default biases).",
    )
    decay_all_weights: bool = HfArg(
        default=False, help="Weight decay for norms and biases too, as the published code."
    )

    # Defaults of the paper or of the method that differ from transformers'.
    learning_rate: float = HfArg(default=3e-4, help="Peak learning rate of AdamW (paper, 3.3).")
    lr_scheduler_type: SchedulerType | str = HfArg(
        default="cosine", help="Schedule: cosine (paper, 3.3), linear (paper, Table 10) and others."
    )
    lr_schedule_steps: int = HfArg(
        default=0,
        help="Step at which the schedule ends (0: at max_steps). With a larger one the run stops while the "
        "learning rate is still high; the published code's linear schedule ends at 200,000.",
    )
    lr_decay_steps: float = HfArg(
        default=0.2, help="Steps of the decay that ends a warmup_stable_decay schedule (below 1: their share)."
    )
    max_grad_norm: float = HfArg(
        default=1.0, help="Norm to which the gradient of a step is clipped (0: not clipped, as the published code)."
    )
    dataloader_drop_last: bool = HfArg(default=True, help="Drop the last, smaller batch of an epoch; must stay true.")
    ddp_find_unused_parameters: bool | None = HfArg(
        default=True, help="Let DDP accept that an episode leaves the LM head without gradient."
    )
    report_to: None | str | list[str] = HfArg(  # noqa: RUF036 (transformers' parser goes by the order)
        default="none", help="Trackers besides metrics.jsonl, separated by commas: wandb, tensorboard, trackio."
    )
    logging_nan_inf_filter: bool = HfArg(default=False, help="Hide NaN losses from the logs.")

    def __post_init__(self) -> None:
        ClassEpisodeConfig.__post_init__(self)
        TaskConfig.__post_init__(self)
        check_choice("hybrid_mode", self.hybrid_mode, ("replace", "add"))
        check_choice("matrix_optimizer", self.matrix_optimizer, ("adamw", "muon"))
        check_choice("episode_sampler", self.episode_sampler, ("smlmt", "random_positions"))
        check_choice("head_initializer", self.head_initializer, HEAD_INITIALIZERS)
        check_choice("episode_labels", self.episode_labels, ("own", "shuffled"))
        check_choice("episode_states", self.episode_states, ("windows", "stream"))
        SaveSchedule(self.save_schedule)
        self._check_numbers()
        if self.episode_states == "stream":
            self._check_stream()
        if self.class_episodes:
            self._check_classes()
        if self.task_files:
            self._check_tasks()
        if self.episode_sampler == "random_positions" and self.readout != "mask":
            raise InputError(f"episode_sampler random_positions needs readout mask, got {self.readout!r}")
        if self.episode_sampler == "random_positions":
            self._hold_out_ids()
        if not self.dataloader_drop_last:
            raise InputError("dataloader_drop_last must stay true: episodes are drawn from batches of one size")
        if self.learn_inner_lr and self.inner_loop().steps_taken() == 0:
            raise InputError("learn_inner_lr has nothing to learn without inner steps: raise inner_steps or omit it")
        if self.label_smoothing_factor != 0:
            raise InputError(f"label_smoothing_factor is not supported, got {self.label_smoothing_factor}: leave it 0")
        if self.torch_compile or self.torch_compile_backend or self.torch_compile_mode:
            raise InputError("torch_compile would compile a forward that branches: use compile_backbone")
        if isinstance(self.report_to, str) and "," in self.report_to:
            self.report_to = self.report_to.split(",")  # transformers' command line takes a single name
        SafetyConfig.__post_init__(self)
        if self.accelerator_config.dispatch_batches:
            raise InputError("accelerator_config dispatch_batches copies batches before words are found: leave it out")
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False

    def scheduler_arguments(self, steps: int) -> dict[str, Any]:
        """Return the arguments of transformers' schedule for so many steps, besides those that all schedules have."""
        given = dict(self.lr_scheduler_kwargs or {})
        if self.lr_scheduler_type == SchedulerType.WARMUP_STABLE_DECAY:
            decay = self.lr_decay_steps * (steps if self.lr_decay_steps < 1 else 1)
            given = {"num_decay_steps": min(round(decay), steps - self.get_warmup_steps(steps)), **given}
        return given

    def _check_numbers(self) -> None:
        if not 0 <= self.hybrid_ratio <= 1:
            raise InputError(f"hybrid_ratio must be between 0 and 1, got {self.hybrid_ratio}")
        if not 0 <= self.head_dropout < 1:
            raise InputError(f"head_dropout must be at least 0 and below 1, got {self.head_dropout}")
        check_at_least(0, lr_schedule_steps=self.lr_schedule_steps, max_grad_norm=self.max_grad_norm)
        check_at_least(0, lr_decay_steps=self.lr_decay_steps)
        if self.lr_schedule_steps > 0 and not 0 < self.max_steps <= self.lr_schedule_steps:
            raise InputError(
                f"max_steps is {self.max_steps} but the schedule ends at lr_schedule_steps {self.lr_schedule_steps}: "
                "give a max_steps of at most that, or lr_schedule_steps 0"
            )
        weight, warmup_steps = self.query_loss_weight, self.query_loss_warmup_steps
        share = self.episode_gradient_share
        check_at_least(0, query_loss_weight=weight, query_loss_warmup_steps=warmup_steps, episode_gradient_share=share)
        if isinf(weight) or isinf(share):
            raise InputError(f"query_loss_weight and episode_gradient_share must be finite, got {weight} and {share}")
        if share > 0 and weight != 1:
            raise InputError(
                f"episode_gradient_share {share} decides the weight of the query loss, but query_loss_weight is "
                f"{weight}: give query_loss_weight 1, or no share"
            )
        if not 0 <= self.query_loss_annealing <= 1:
            raise InputError(f"query_loss_annealing must be between 0 and 1, got {self.query_loss_annealing}")
        check_at_least(
            1,
            episode_pool=self.episode_pool,
            head_layers=self.head_layers,
            head_hidden_dim=self.head_hidden_dim,
            gradient_accumulation_steps=self.gradient_accumulation_steps,
            per_device_train_batch_size=self.per_device_train_batch_size,
            per_device_eval_batch_size=self.per_device_eval_batch_size,
        )

    def _hold_out_ids(self) -> None:
        """Hold out ids: random positions hide single tokens, pieces of words among them."""
        if self.held_out_rule not in ("form", "id"):
            raise InputError(
                "episode_sampler random_positions hides single tokens, so held_out_rule must be id, got "
                f"{self.held_out_rule!r}"
            )
        self.held_out_rule = "id"

    def _check_stream(self) -> None:
        for name, value, needed in (
            ("hybrid_mode", self.hybrid_mode, "add"),
            ("readout", self.readout, "previous"),
            ("episode_sampler", self.episode_sampler, "smlmt"),
        ):
            if value != needed:
                raise InputError(f"episode_states stream needs {name} {needed}, got {value!r}")
        if self.inner_loop().needs_support_gradient:
            raise InputError(
                "episode_states stream has no gradient for its support states: it needs meta_algorithm maml and "
                f"first_order true, got {self.meta_algorithm} and {str(self.first_order).lower()}"
            )

    def _check_classes(self) -> None:
        if self.hybrid_ratio == 0:
            raise InputError(
                f"episode_classes {self.episode_classes} has no effect without episodes: raise hybrid_ratio, or give "
                "episode_classes words"
            )
        for name, value, needed in (
            ("hybrid_mode", self.hybrid_mode, "add"),
            ("episode_states", self.episode_states, "windows"),
            ("episode_sampler", self.episode_sampler, "smlmt"),
        ):
            if value != needed:
                raise InputError(
                    f"episode_classes {self.episode_classes} reads the states of the next-token pass: it needs {name} "
                    f"{needed}, got {value!r}"
                )

    def _check_tasks(self) -> None:
        if self.hybrid_ratio == 0:
            raise InputError("task_files has no effect without episodes: raise hybrid_ratio, or omit task_files")
        if self.class_episodes:
            raise InputError(
                f"task_files goes with episodes of words, but episode_classes is {self.episode_classes}, whose head "
                "has an output for each class: omit one of the two"
            )

    def inner_loop(self) -> InnerLoop:
        """Return the inner loop of training."""
        return InnerLoop(self.meta_algorithm, self.inner_steps, self.inner_lr, self.first_order)

    def query_weight(self, step: int, last: int = 0) -> float:
        """Return the weight of the query loss in optimizer step `step`, counted from 0, of a run of `last` steps."""
        weight = self.query_loss_weight
        if step < self.query_loss_warmup_steps:
            weight *= step / self.query_loss_warmup_steps
        annealed = self.query_loss_annealing * last
        if annealed and last - step < annealed:
            weight *= (last - step) / annealed
        return weight

    def head(self) -> dict[str, int | float | str]:
        """Return the arguments of `MetaHead` but the width."""
        return {
            "ways": self.n_way,
            "layers": self.head_layers,
            "hidden_dim": self.head_hidden_dim,
            "dropout": self.head_dropout,
            "initializer": self.head_initializer,
            "learned_lr_steps": self.inner_loop().steps_taken() if self.learn_inner_lr else 0,
            "inner_lr": self.inner_lr,
        }

    def class_head(self, classes: int) -> dict[str, int | float | str]:
        """Return the arguments of the `MetaHead` of class episodes but the width: one layer on projected states."""
        return self.head() | {"ways": classes, "layers": 1, "projection": self.class_width}
