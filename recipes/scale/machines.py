"""Time, memory and communication of a recipe on several GPUs, by formula."""

from dataclasses import dataclass
from typing import Any

from ...modeling_pico import PicoConfig
from ...trainers.cost import cost_of
from ..arguments.model import ModelArguments
from .fsdp import Units

# fp32 weight, gradient, and AdamW's two moments.
STATE_BYTES = 4 + 4 + 8
FP32_BYTES, BF16_BYTES = 4, 2
# What autograd stores of a decoder layer, in bytes a token and unit of width. In fp32 110 were measured (peak memory
# of tiny:2x1024); under bf16 autocast the residual stream and the norms stay in fp32, the matrices' inputs do not.
STORED_BYTES = 64
# The recipes are written for so many GPUs.
RECIPE_GPUS = 4
ASSUMPTIONS = (
    "{utilisation:.0%} of the vendor's bf16 peak (312e12 an A100, 989e12 an H100) in every product; NVLink at 300 and "
    "450 GB/s a direction; communication not hidden behind computation; data, evaluation and saving free; fp32 "
    f"weights, gradients and AdamW moments; {STORED_BYTES} bytes of activations a token, layer and unit of width, "
    "with checkpointing (a third more computation) of one layer and 4 bytes of each other; a chunk of logits instead "
    "of all; DDP all-reduces fp32 gradients once a step, from a copy of them in buckets; "
    "FSDP2 in bf16 gathers embedding and layers for every forward and every backward pass (an "
    "episode: support forward, query forward and backward, and one layer in vain), LM head and episodes' head once a "
    "micro-batch, and scatters gradients once a step, until when they are whole on every GPU."
)


@dataclass(frozen=True)
class Machine:
    """GPUs that train together.

    Attributes:
        peak: bf16 operations a second of each (the vendor's figure, dense).
        link: bytes a second that each GPU sends to its neighbours (NVLink, one direction).
        sharded: weights, gradients and optimizer in shards (FSDP2), or whole on each GPU (DDP).
    """

    name: str
    gpus: int
    peak: float
    link: float
    sharded: bool


MACHINES = [
    Machine(f"{gpus} x {name}, {'FSDP2' if sharded else 'DDP'}", gpus, peak, link, sharded)
    for gpus, name, peak, link in ((4, "A100", 312e12, 300e9), (8, "H100", 989e12, 450e9))
    for sharded in (False, True)
]


def estimate(arguments: dict[str, Any], machine: Machine, utilisation: float) -> dict[str, Any]:
    """Hours, memory and communication of a recipe whose episodes take the place of next-token prediction.

    The batch of the recipe is shared out: on more GPUs fewer micro-batches are accumulated. Hours are for all steps;
    buffers are those of DDP, or the weights and gradients that FSDP2 holds whole.
    """
    config = model_config(arguments)
    rows, block, ratio = (arguments[n] for n in ("per_device_train_batch_size", "block_size", "hybrid_ratio"))
    micro_batches = RECIPE_GPUS * arguments["gradient_accumulation_steps"] / machine.gpus
    cost = cost_of(arguments)
    assert cost is not None  # a recipe names its model
    tokens = rows * block * machine.gpus * micro_batches * (1 - ratio)
    operations = cost.token * tokens + cost.episode * micro_batches * ratio
    state = cost.parameters * STATE_BYTES / (machine.gpus if machine.sharded else 1)
    if machine.sharded:
        sent, buffers = sharded_bytes(config, micro_batches, ratio)
    else:
        # A ring all-reduce of the gradients, from a copy of them in buckets.
        buffers = float(cost.parameters * FP32_BYTES)
        sent = 2 * buffers
    sent *= (machine.gpus - 1) / machine.gpus
    steps = arguments["max_steps"]
    layers, recomputed = config.n_layers * STORED_BYTES, 1.0
    if arguments["activation_checkpointing"]:
        layers, recomputed = (config.n_layers - 1) * FP32_BYTES + STORED_BYTES, 4 / 3
    return {
        "machine": machine.name,
        "petaflop_a_step": operations / 1e15,
        "compute_hours": recomputed * steps * operations / (machine.peak * utilisation * machine.gpus) / 3600,
        "communication_hours": steps * sent / machine.link / 3600,
        "state_gb_a_gpu": state / 1e9,
        "buffers_gb_a_gpu": buffers / 1e9,
        "activations_gb_a_gpu": rows * block * config.d_model * layers / 1e9,
        "sent_gb_a_step": sent / 1e9,
    }


def model_config(arguments: dict[str, Any]) -> PicoConfig:
    """The configuration of the model with the episodes' head."""
    config = ModelArguments(**{name: arguments[name] for name in ModelArguments.__dataclass_fields__}).pico_config()
    names = {"ways": "n_way", "layers": "head_layers", "hidden_dim": "head_hidden_dim", "dropout": "head_dropout"}
    config.meta_head = {name: arguments[argument] for name, argument in names.items()}
    return config


def sharded_bytes(config: PicoConfig, micro_batches: float, ratio: float) -> tuple[float, float]:
    """Under FSDP2 in bf16: bytes gathered and scattered a step, and those of the weights and gradients held whole.

    `ratio` is the share of episodes among the micro-batches of a step.
    """
    units = Units.of(config)
    gathered = micro_batches * ((1 - ratio) * sum(units.gathers(1)) + ratio * sum(units.gathers(2)))
    gradients = sum(units.scatters())
    # With one micro-batch alone the gradients of a unit are scattered at once.
    whole = units.held() + (gradients if micro_batches > 1 else 0)
    return (gathered + gradients) * BF16_BYTES, whole * BF16_BYTES
