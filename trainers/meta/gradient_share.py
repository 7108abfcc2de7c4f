"""The weight that gives the gradient of the query loss a length in proportion to that of next-token prediction."""

import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from transformers import PreTrainedModel

from ..process_group import world_size
from .gradients import Gradients, next_token_losses, norms_and_cosines, objective_gradients, under

# Optimizer steps between two measurements: lengths change fast at first, and each costs about two micro-batches.
LEAST_STEPS, MOST_STEPS = 8, 200


class GradientShare:
    """The weight of the query loss at which its gradient is `share` times as long as the next-token gradient.

    A length is the 2-norm over the weights of the decoder, which both losses train, and a running mean in which each
    measurement counts half. It is measured on a micro-batch of all processes and its episode: the first one, then one
    when the number of steps has doubled, at least 8 and at most 200 steps later. Training does not notice.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.measured_at = 0
        self.norms: dict[str, float] = {}

    @property
    def weight(self) -> float:
        """The weight; 0 before the first measurement."""
        return self.share * self.norms["next_token"] / self.norms["query"] if self.norms else 0.0

    def is_due(self, step: int) -> bool:
        """True if an episode of this optimizer step is to be measured."""
        return not self.norms or step - self.measured_at >= min(max(self.measured_at, LEAST_STEPS), MOST_STEPS)

    def measure(self, model: PreTrainedModel, step: int, text: dict[str, Any], episode: dict[str, Any]) -> None:
        """Measure both gradients; every process must call this.

        Args:
            model: an `EpisodeModel`; its weights, gradients and mode do not change.
            step: the optimizer step, counted from 0.
            text: `input_ids` and `shift_labels` of this process's micro-batch.
            episode: arguments of the model's forward pass for the episode, with `input_ids` if it reads their states.
        """
        alone = {name: value for name, value in episode.items() if name != "shift_labels"}
        gradients = objective_gradients(
            model,
            {
                "next_token": next_token_losses(text["input_ids"], text["shift_labels"]),
                "query": [lambda replica: replica(**alone | {"query_weight": 1.0}).loss],
            },
        )
        shared = {name: _over_processes(under(model.base_model_prefix, own)) for name, own in gradients.items()}
        self.add(step, norms_and_cosines(shared)[0])

    def add(self, step: int, norms: dict[str, float]) -> None:
        """Add the norms measured in a step, unless one is 0 or not finite: then the next episode is measured."""
        if not all(0 < norm < math.inf for norm in norms.values()):
            return
        self.norms = {name: (self.norms.get(name, norm) + norm) / 2 for name, norm in norms.items()}
        self.measured_at = step

    def state(self) -> dict[str, Tensor]:
        """Return the means, and the step of the last measurement, for a checkpoint."""
        tensors = {"gradient_norms_measured_at": torch.tensor(self.measured_at)}
        for name, norm in self.norms.items():
            tensors[f"gradient_norm.{name}"] = torch.tensor(norm, dtype=torch.float64)
        return tensors

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` returned; a run that had no share measures at its next episode."""
        own = {name: tensor for name, tensor in tensors.items() if name.startswith("gradient_norm.")}
        self.norms = {name.removeprefix("gradient_norm."): norm.item() for name, norm in own.items()}
        self.measured_at = int(tensors.get("gradient_norms_measured_at", torch.tensor(0)))


def measurements(steps: int) -> int:
    """How often a run of so many steps measures, if each has an episode."""
    share, count = GradientShare(1.0), 0
    for step in range(steps):
        if share.is_due(step):
            share.add(step, {"next_token": 1.0, "query": 1.0})
            count += 1
    return count


def _over_processes(gradients: Gradients) -> Gradients:
    """Return means over all processes."""
    if world_size() == 1:
        return gradients
    means = {name: gradient.contiguous() / world_size() for name, gradient in gradients.items()}
    for mean in means.values():
        dist.all_reduce(mean)
    return means
