"""Gradients of a model's losses, computed beside its training without touching it."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel

from ..process_group import whole
from .meta_causal_lm import MetaCausalLM

Loss = Callable[[PreTrainedModel], Tensor]
Gradients = dict[str, Tensor]
# Tokens of a backward pass, or one row if that is longer; more need more memory.
TOKENS_PER_PASS = 2048


class Replica(nn.Module):
    """The modules of a model without weights, in evaluation mode.

    They have nothing of what training adds to a model: hooks of DDP and FSDP2, compilation, autocast.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        config = copy.deepcopy(model.config)
        if "flash" in str(config._attn_implementation):
            config._attn_implementation = "sdpa"  # flash attention has no fp32
        with torch.device("meta"):
            twin = model.twin(config) if isinstance(model, MetaCausalLM) else type(model)(config)
        self.model = twin.eval()

    def forward(self, loss: Loss) -> Tensor:
        """Compute a loss of the model."""
        return loss(self.model)


def objective_gradients(model: PreTrainedModel, losses: Mapping[str, Sequence[Loss]]) -> dict[str, Gradients]:
    """Return the gradient of the sum of each objective's losses, in fp32, by objective and parameter name.

    The model, its `.grad` and all random states do not change. Parameters that a loss does not depend on are absent.
    Every process must call this: sharded weights are gathered, and each process then computes the same on its own.
    It needs the memory of the whole weights, if they are sharded, and of a gradient for each objective.
    """
    replica = Replica(model)
    weights = {name: whole(p.detach()).float() for name, p in model.named_parameters() if p.requires_grad}
    tensors = {f"model.{name}": weight.requires_grad_() for name, weight in weights.items()}
    rest = [(name, p) for name, p in model.named_parameters() if not p.requires_grad]
    tensors |= {f"model.{name}": whole(t.detach()) for name, t in (*rest, *model.named_buffers())}
    found = {}
    for objective, parts in losses.items():
        total: Gradients = {}
        for loss in parts:
            with torch.enable_grad():
                value = functional_call(replica, tensors, (loss,))
            gradients = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
            for name, gradient in zip(weights, gradients, strict=True):
                if gradient is not None:
                    total[name] = total[name] + gradient if name in total else gradient
        found[objective] = total
    return found


def next_token_losses(input_ids: Tensor, targets: Tensor) -> list[Loss]:
    """Return functions of the model whose sum is the mean next-token loss of (R, T) ids, a few rows each."""
    rows = max(1, TOKENS_PER_PASS // input_ids.shape[1])
    parts = zip(input_ids.split(rows), targets.split(rows), strict=True)
    return [partial(_next_token_loss, ids=ids, targets=after, share=len(ids) / len(input_ids)) for ids, after in parts]


def _next_token_loss(model: PreTrainedModel, ids: Tensor, targets: Tensor, share: float) -> Tensor:
    ids, targets = ids.to(model.device), targets.to(model.device)
    # Models other than Pico need `labels` for a loss; with both, `shift_labels` are used.
    return share * model(ids, labels=targets, shift_labels=targets, skip_logits=True, use_cache=False).loss


def under(module: str, gradients: Gradients) -> Gradients:
    """Return the gradients of the parameters of the module of that name."""
    return {name: gradient for name, gradient in gradients.items() if name.startswith(f"{module}.")}


def norms_and_cosines(gradients: Mapping[str, Gradients]) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """Return the 2-norm of each objective's gradient, and the cosine of each pair (NaN if one is zero).

    Each gradient is one vector over all parameters, 0 where it is absent.
    """
    norms = {name: _dot(own, own) ** 0.5 for name, own in gradients.items()}
    cosines = {}
    for one, other in combinations(gradients, 2):
        product = norms[one] * norms[other]
        cosines[one, other] = _dot(gradients[one], gradients[other]) / product if product else float("nan")
    return norms, cosines


def _dot(one: Gradients, other: Gradients) -> float:
    products = [torch.dot(one[name].flatten(), other[name].flatten()) for name in one if name in other]
    return float(torch.stack(products).double().sum())
