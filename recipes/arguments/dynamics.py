"""What is measured of learning dynamics, and the callbacks that do it."""

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn
from transformers import PreTrainedModel

from ...callbacks import (
    ActivationsCallback,
    AttentionEntropyCallback,
    Dynamics,
    DynamicsCallback,
    GradientSpectraCallback,
    WeightSpectraCallback,
    resume_dynamics,
    save_dynamics,
)
from ...callbacks.measures import Selected, select_modules
from ...trainers import InputError, MAMLTrainer
from ...trainers.runs.learning_dynamics import DYNAMICS_FILE, DynamicsFile


@dataclass
class MeasureArguments:
    """What is measured of a model."""

    dynamics_modules: list[str] = field(
        default_factory=lambda: ["attention.v_proj", "attention.o_proj", "swiglu.w_2"],
        metadata={
            "help": "Matrices whose weights, activations and (in training) gradients are measured: names within a "
            "layer, globs (`attention.*`) or regular expressions (`re:.*_proj`)."
        },
    )
    dynamics_layers: list[int] | None = field(
        default=None, metadata={"help": "Layers to measure, from 0, or from -1 backwards (unset: all)."}
    )
    dynamics_probe_rows: int = field(
        default=2,
        metadata={"help": "Held-out blocks on which activations and attention entropies are measured (0: neither)."},
    )
    dynamics_probe_tokens: int = field(
        default=512,
        metadata={"help": "Of their tokens, how many the activations are looked at for, at most; spread evenly."},
    )
    dynamics_ov_circuits: bool = field(
        default=False,
        metadata={"help": "Measure o_proj times v_proj of each attention head (needs both in dynamics_modules)."},
    )

    def __post_init__(self) -> None:
        if self.dynamics_probe_rows < 0:
            raise InputError(f"dynamics_probe_rows must be at least 0, got {self.dynamics_probe_rows}")
        if self.dynamics_probe_tokens < 2:
            raise InputError(f"dynamics_probe_tokens must be at least 2, got {self.dynamics_probe_tokens}")

    def modules(self, model: nn.Module) -> list[Selected]:
        """The chosen modules of a model.

        Raises:
            InputError: there are none of that name, or no such layer.
        """
        try:
            return select_modules(model, self.dynamics_modules, self.dynamics_layers)
        except ValueError as error:
            raise InputError(f"dynamics_modules or dynamics_layers: {error}") from error

    def ov_circuits(self, modules: list[Selected]) -> list[tuple[Selected, Selected]]:
        """Output and value projection of each chosen layer, where they are asked for.

        Raises:
            InputError: one of both is not chosen.
        """
        if not self.dynamics_ov_circuits:
            return []
        projections = {name: [s for s in modules if s.name.endswith(name)] for name in ("o_proj", "v_proj")}
        missing = [name for name, found in projections.items() if not found]
        if missing:
            raise InputError(f"dynamics_ov_circuits needs {' and '.join(missing)} in dynamics_modules")
        return list(zip(projections["o_proj"], projections["v_proj"], strict=True))

    def callbacks(self, dynamics: Dynamics, model: PreTrainedModel, held_out: Tensor) -> list[DynamicsCallback]:
        """What measures the model.

        Args:
            dynamics: when and where to.
            model: the model.
            held_out: (R, T + 1) token ids, of which the first rows are the probe.
        """
        modules = self.modules(model)
        ov_circuits = self.ov_circuits(modules)
        heads = model.config.num_attention_heads if ov_circuits else 1
        callbacks: list[DynamicsCallback] = [WeightSpectraCallback(dynamics, modules, ov_circuits, heads)]
        if self.dynamics_probe_rows:
            probe = held_out[: self.dynamics_probe_rows, :-1]
            callbacks.append(ActivationsCallback(dynamics, modules, probe, self.dynamics_probe_tokens))
            callbacks.append(AttentionEntropyCallback(dynamics, probe))
        return callbacks


@dataclass
class DynamicsArguments(MeasureArguments):
    """What a training run measures of itself, and how often."""

    dynamics_steps: int = field(
        default=100, metadata={"help": "Steps between two measurements of the learning dynamics (0: none)."}
    )
    dynamics_gradients: bool = field(
        default=True, metadata={"help": "Measure the gradients of both objectives, each apart."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dynamics_steps < 0:
            raise InputError(f"dynamics_steps must be at least 0, got {self.dynamics_steps}")

    def check(self, model: nn.Module) -> None:
        """Refuse what does not fit the model, before anything is written."""
        if self.dynamics_steps:
            self.ov_circuits(self.modules(model))

    def gradients(self, dynamics: Dynamics, model: nn.Module, separable: bool) -> GradientSpectraCallback | None:
        """What measures the gradients, or None; see `GradientSpectraCallback`."""
        return GradientSpectraCallback(dynamics, self.modules(model), separable) if self.dynamics_gradients else None


def add_dynamics(
    trainer: MAMLTrainer, arguments: DynamicsArguments, held_out: Tensor, checkpoint: Path | None
) -> Dynamics:
    """Have the trainer's model measured, and the measurements kept in checkpoints and taken back from one."""
    args = trainer.args
    file = DynamicsFile(Path(args.output_dir, DYNAMICS_FILE))
    dynamics = Dynamics(file, arguments.dynamics_steps, lambda: trainer.counts["tokens_seen"], trainer.record)
    callbacks = arguments.callbacks(dynamics, trainer.model, held_out)
    # A compiled backward pass runs once, and fp16 scales the losses after they are seen here.
    gradients = arguments.gradients(dynamics, trainer.model, separable=not (args.compile_backbone or args.fp16))
    if gradients is not None:
        trainer.loss_watchers.append(gradients.before_backward)
        callbacks.append(gradients)
    for callback in callbacks:
        trainer.add_callback(callback)
    trainer.checkpoint_writers.append(lambda folder: save_dynamics(folder, trainer.state.global_step, file, callbacks))
    if checkpoint is not None:
        resume_dynamics(checkpoint, int(checkpoint.name.split("-")[1]), file, callbacks)
    return dynamics
