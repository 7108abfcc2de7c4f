"""Arguments of learning dynamics, and the callbacks that measure them."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel
from transformers.hf_argparser import HfArg

from ...callbacks import (
    ActivationsCallback,
    AttentionEntropyCallback,
    Dynamics,
    DynamicsCallback,
    GradientSpectraCallback,
    Source,
    WeightSpectraCallback,
    resume_dynamics,
    save_dynamics,
)
from ...callbacks.measures import (
    ClassObjective,
    GradientProbe,
    Measure,
    QueryObjective,
    Selected,
    first_blocks,
    parse_measure,
    select_modules,
)
from ...trainers import InputError, MAMLTrainer
from ...trainers.checks import check_at_least
from ...trainers.class_episodes.source import ClassEpisodeSource
from ...trainers.runs.checkpoints import step_of
from ...trainers.runs.files import DYNAMICS_FILE
from ...trainers.runs.learning_dynamics import DynamicsFile

Objective = QueryObjective | ClassObjective


@dataclass
class MeasureArguments:
    """Arguments of learning dynamics."""

    dynamics_modules: list[str] = HfArg(
        default_factory=lambda: ["attention.v_proj", "attention.o_proj", "swiglu.w_2"],
        help="Matrices to measure. Names within a layer, globs (`attention.*`) or regular expressions (`re:.*_proj`).",
    )
    dynamics_layers: list[int] | None = HfArg(
        default=None, help="Layers to measure, counted from 0, or from -1 backwards (unset: all)."
    )
    dynamics_probe_rows: int = HfArg(default=2, help="Held-out blocks for activations and attention (0: none).")
    dynamics_probe_tokens: int = HfArg(
        default=512, help="Most tokens of these blocks whose activations are measured. They are spread evenly."
    )
    dynamics_ov_circuits: bool = HfArg(
        default=False, help="Measure o_proj times v_proj of each head. Both must be in dynamics_modules."
    )
    dynamics_measures: list[str] = HfArg(
        default_factory=list,
        help="More measures, `[PLACE=]FUNCTION`: condition_number, gini, hoyer, stable_rank, pwcca, or your own "
        "package.module:function of a matrix (PLACE weights, gradients, activations or attention; unset: the first "
        "three) or of the activations of now and of the first step.",
    )
    dynamics_gradients: bool = HfArg(default=True, help="Measure gradients of both losses on a fixed text.")

    def __post_init__(self) -> None:
        check_at_least(0, dynamics_probe_rows=self.dynamics_probe_rows)
        check_at_least(2, dynamics_probe_tokens=self.dynamics_probe_tokens)
        self.own()

    def own(self) -> list[Measure]:
        """The measures of `dynamics_measures`; raise InputError if one cannot be loaded or makes no number."""
        measures = [parse_measure(text) for text in self.dynamics_measures]
        for measure in measures:
            measure.check()
        return measures

    def modules(self, model: nn.Module) -> list[Selected]:
        """The modules to measure; raise InputError if the model has no module or layer of that name."""
        try:
            return select_modules(model, self.dynamics_modules, self.dynamics_layers)
        except ValueError as error:
            hint = "name others, or give --dynamics_steps 0 to measure none"
            raise InputError(f"dynamics_modules or dynamics_layers: {error}; {hint}") from error

    def ov_circuits(self, modules: list[Selected]) -> list[tuple[Selected, Selected]]:
        """Output and value projection of each layer whose OV circuits are measured; raise InputError without both."""
        if not self.dynamics_ov_circuits:
            return []
        projections = {name: [s for s in modules if s.name.endswith(name)] for name in ("o_proj", "v_proj")}
        if missing := [name for name, selected in projections.items() if not selected]:
            raise InputError(f"dynamics_ov_circuits needs {' and '.join(missing)} in dynamics_modules")
        return list(zip(projections["o_proj"], projections["v_proj"], strict=True))

    def callbacks(
        self, dynamics: Dynamics, model: PreTrainedModel, held_out: Source, query: Objective | None
    ) -> list[DynamicsCallback]:
        """The callbacks of weights and, on held-out text, of activations, attention and gradients.

        Without `query` there are no gradients of the query loss.
        """
        modules = self.modules(model)
        ov_circuits = self.ov_circuits(modules)
        own = self.own()
        heads = model.config.num_attention_heads if ov_circuits else 1
        callbacks: list[DynamicsCallback] = [WeightSpectraCallback(dynamics, modules, ov_circuits, heads, own)]
        if self.dynamics_probe_rows:
            probe = held_out.blocks[: self.dynamics_probe_rows, :-1]
            callbacks.append(ActivationsCallback(dynamics, modules, probe, self.dynamics_probe_tokens, own))
            callbacks.append(AttentionEntropyCallback(dynamics, probe, own))
        if self.dynamics_gradients:
            width = model.config.hidden_size
            episodes = query.draw(width, *held_out.for_episodes()) if query else []
            gradient_probe = GradientProbe(first_blocks(held_out.blocks, width), episodes)
            inner = query.inner if query else None
            callbacks.append(GradientSpectraCallback(dynamics, modules, gradient_probe, inner, own))
        return callbacks


@dataclass
class DynamicsArguments(MeasureArguments):
    """Arguments of learning dynamics during training."""

    dynamics_steps: int = HfArg(default=100, help="Steps between two measurements of learning dynamics (0: never).")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(0, dynamics_steps=self.dynamics_steps)

    def check(self, model: nn.Module) -> None:
        """Raise InputError if the model lacks a module, layer or projection to measure."""
        if self.dynamics_steps:
            self.ov_circuits(self.modules(model))


def add_dynamics(
    trainer: MAMLTrainer, arguments: DynamicsArguments, held_out: Source, checkpoint: Path | None
) -> Dynamics:
    """Attach the callbacks that log learning dynamics; checkpoints save their state, which a resumed run loads.

    The first held-out blocks are the probe.
    """
    file = DynamicsFile(Path(trainer.args.output_dir, DYNAMICS_FILE))
    dynamics = Dynamics(file, arguments.dynamics_steps, lambda: trainer.counts["tokens_seen"], trainer.record)
    callbacks = arguments.callbacks(dynamics, trainer.model, held_out, objective_of(trainer))
    for callback in callbacks:
        trainer.add_callback(callback)
    trainer.checkpoint_writers.append(lambda folder: save_dynamics(folder, trainer.state.global_step, file, callbacks))
    if checkpoint is not None:
        resume_dynamics(checkpoint, step_of(checkpoint), file, callbacks)
    return dynamics


def objective_of(trainer: MAMLTrainer) -> Objective | None:
    """The query loss of a run, None without episodes."""
    source, args = trainer.source, trainer.args
    if not isinstance(source, ClassEpisodeSource):
        return QueryObjective.of_model(trainer.model, trainer.processing_class)
    return ClassObjective(args, args.inner_loop(), source.table, source.classes) if args.hybrid_ratio > 0 else None
