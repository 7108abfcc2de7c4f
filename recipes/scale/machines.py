"""Time, memory and communication of a recipe on several GPUs, by formula."""

from dataclasses import dataclass
from typing import Any

from ...trainers.cost import cost_of
from ..arguments.model import ModelArguments

# fp32 weight, gradient, and AdamW's two moments.
STATE_BYTES = 4 + 4 + 8
WEIGHT_BYTES = 4
# What autograd keeps of a decoder layer, in bytes a token and unit of width. In fp32 110 were measured (peak memory of
# tiny:2x1024); under bf16 autocast the residual stream and the norms stay in fp32, the matrices' inputs do not.
KEPT_BYTES = 64


@dataclass(frozen=True)
class Machine:
    """GPUs that train together.

    Attributes:
        name: how many, of which, and how the model lies on them.
        gpus: how many.
        peak: bf16 operations a second of each (the vendor's figure, dense).
        link: bytes a second that each GPU sends to its neighbours (NVLink, one direction).
        sharded: whether weights, gradients and optimizer are in shards (FSDP2) or whole on each (DDP).
    """

    name: str
    gpus: int
    peak: float
    link: float
    sharded: bool

    @staticmethod
    def assumptions(utilisation: float) -> str:
        """What the estimates rest on, for a reader."""
        return (
            f"{utilisation:.0%} of the vendor's bf16 peak (312e12 an A100, 989e12 an H100) in every product; NVLink "
            "at 300 and 450 GB/s a direction; communication not hidden behind computation; data, evaluation and "
            f"saving free; fp32 weights, gradients and AdamW moments; {KEPT_BYTES} bytes of activations a token, "
            "layer and unit of width, without checkpointing; a chunk of logits instead of all; FSDP2 gathers the "
            "weights twice a micro-batch and scatters gradients once."
        )


MACHINES = [
    Machine(f"{gpus} x {name}, {'FSDP2' if sharded else 'DDP'}", gpus, peak, link, sharded)
    for gpus, name, peak, link in ((4, "A100", 312e12, 300e9), (8, "H100", 989e12, 450e9))
    for sharded in (False, True)
]


def estimate(arguments: dict[str, Any], machine: Machine, utilisation: float) -> dict[str, Any]:
    """Hours, memory and communication of a recipe.

    Args:
        arguments: of the recipe. Its batch is shared out: on more GPUs fewer micro-batches are accumulated.
        machine: what it runs on.
        utilisation: share of the peak that is reached.

    Returns:
        petaflops of one optimizer step, hours of computation and of communication for all steps, GB of memory a GPU
        and GB that each GPU sends a step.
    """
    rows, accumulated = arguments["per_device_train_batch_size"], arguments["gradient_accumulation_steps"]
    block, ratio, gpus = arguments["block_size"], arguments["hybrid_ratio"], machine.gpus
    # The recipes are written for four GPUs.
    micro_batches = 4 * accumulated / gpus
    cost = cost_of(arguments)
    if cost is None:
        raise ValueError("the arguments name no model")
    tokens = rows * block * gpus * micro_batches * (1 - ratio)
    operations = cost.token * tokens + cost.episode * micro_batches * ratio
    weights = cost.parameters * WEIGHT_BYTES
    share = (gpus - 1) / gpus
    sent = 3 * micro_batches * weights * share if machine.sharded else 2 * weights * share
    state = cost.parameters * STATE_BYTES / (gpus if machine.sharded else 1)
    config = ModelArguments(**{name: arguments[name] for name in ModelArguments.__dataclass_fields__}).config()
    activations = rows * block * config.d_model * config.n_layers * KEPT_BYTES
    steps = arguments["max_steps"]
    return {
        "machine": machine.name,
        "petaflop_a_step": operations / 1e15,
        "compute_hours": steps * operations / (machine.peak * utilisation * gpus) / 3600,
        "communication_hours": steps * sent / machine.link / 3600,
        "state_gb_a_gpu": state / 1e9,
        "activations_gb_a_gpu": activations / 1e9,
        "sent_gb_a_step": sent / 1e9,
    }
