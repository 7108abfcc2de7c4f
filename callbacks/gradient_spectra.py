"""Gradients of each objective on a fixed text: effective ranks (Figures 29, 30, 33 of the paper), norms and cosine."""

import logging
from collections.abc import Sequence

from torch import Tensor
from transformers import PreTrainedModel, TrainerState

from ..trainers.meta.episode_loss import InnerLoop
from ..trainers.meta.gradients import Gradients, norms_and_cosines, objective_gradients, under
from ..trainers.runs.learning_dynamics import Row
from .dynamics_callback import Dynamics, DynamicsCallback
from .measures import GradientProbe, Measure, Selected
from .measures.own import GRADIENTS, of_place
from .own_rows import own_rows
from .weight_spectra import rank_rows, shared_singular_values

logger = logging.getLogger(__name__)


class GradientSpectraCallback(DynamicsCallback):
    """Writes ranks, `own` measures and `gradient_norm` of the gradient of each `objective`, and `gradient_cosine`.

    The objectives are `next_token` and, where the model is trained with episodes, `query`. A gradient is that of the
    mean loss on the probe, the same text at every step, without dropout and without `query_loss_weight`. Norms, and
    the cosine of both objectives, are over the weights of the decoder, which both share, not over the LM head and the
    episodes' head. Checkpoints save the probe, so that a resumed run keeps it.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        modules: Sequence[Selected],
        probe: GradientProbe,
        inner: InnerLoop | None,
        own: Sequence[Measure] = (),
    ) -> None:
        super().__init__(dynamics)
        self.modules = modules
        self.probe: GradientProbe | None = probe
        self.inner = inner
        self.own = of_place(own, GRADIENTS)
        self.spectra: tuple[int, dict[str, Tensor]] = (-1, {})

    def measure(self, model: PreTrainedModel, state: TrainerState) -> list[Row]:
        """Return ranks, norms and the cosine."""
        if self.probe is None:
            return []
        gradients = objective_gradients(model, self.probe.losses(self.inner))
        spectra: dict[str, Tensor] = {}
        rows = []
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        for objective, own in gradients.items():
            modules = [selected for selected in self.modules if names[id(selected.weight)] in own]
            matrices = [own[names[id(selected.weight)]] for selected in modules]
            singular = shared_singular_values(matrices)
            for selected, values in zip(modules, singular, strict=True):
                spectra[f"{objective}_gradient/{selected.layer}/{selected.name}"] = values
                rows += rank_rows(values, selected.name, selected.layer, objective)
            rows += own_rows(self.own, matrices, modules, objective)
        self.spectra = (state.global_step, spectra)
        return rows + relation_rows(gradients, model.base_model_prefix)

    def singular_values(self, step: int) -> dict[str, Tensor]:
        """Return spectra named `OBJECTIVE_gradient/LAYER/MODULE`; none unless this step was measured."""
        return self.spectra[1] if self.spectra[0] == step else {}

    def reference(self) -> dict[str, Tensor]:
        """Return the tensors of the probe."""
        return {} if self.probe is None else self.probe.tensors()

    def load_reference(self, tensors: dict[str, Tensor]) -> None:
        """Restore the probe; gradients are not measured in runs of earlier versions, which had none."""
        self.probe = GradientProbe.from_tensors(tensors)
        if self.probe is None:
            logger.warning(
                "gradients are not measured any more: this run was started by an earlier version, which measured them "
                "on the training batch of the step, and the values do not compare"
            )


def relation_rows(gradients: dict[str, Gradients], decoder: str) -> list[Row]:
    """Return `gradient_norm` of each objective and `gradient_cosine`, over the parameters under the name `decoder`."""
    norms, cosines = norms_and_cosines({objective: under(decoder, own) for objective, own in gradients.items()})
    rows = [Row("gradient_norm", value, objective) for objective, value in norms.items()]
    return rows + [Row("gradient_cosine", value) for value in cosines.values()]
