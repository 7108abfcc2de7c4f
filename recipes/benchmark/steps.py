"""A step of next-token training beside that of transformers' LLaMA of the same shape: time, memory, utilisation.

python -m pico_maml.recipes.benchmark.steps "Pico, fp32" tiny:4x256 50304    # peak memory alone, in this process
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from ...modeling_pico import PicoConfig, PicoForCausalLM
from ...modeling_pico.conversion_pico import llama_config, llama_state_dict
from .shapes import Shape, zipf_text
from .timing import Tasks, in_turn, report

LLAMA, PICO, BF16, COMPILED = "LlamaForCausalLM, fp32", "Pico, fp32", "Pico, bf16 autocast", "Pico, fp32, compiled"
# A product large enough that nothing but the arithmetic counts.
CUBE, PRODUCTS = 1024, 16
FP32_PRODUCTS, BF16_PRODUCTS = "products alone, fp32", "products alone, bf16"


def training_step(model: nn.Module, batch: Tensor, bf16: bool = False) -> Callable[[], Tensor]:
    """Forward, loss, backward, clipping and AdamW on (B, T + 1) ids; returns the loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ids, targets = batch[:, :-1].contiguous(), batch[:, 1:].contiguous()
    # LLaMA takes targets that are shifted already only beside labels.
    inputs = {"input_ids": ids, "shift_labels": targets, "use_cache": False}
    if isinstance(model, LlamaForCausalLM):
        inputs["labels"] = targets

    def step() -> Tensor:
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=bf16):
            loss = model(**inputs).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


def step_tasks(shape: Shape, vocab_size: int, compiled: bool) -> dict[str, Callable[[], Tensor]]:
    """The same step on the same rows, each with a model of its own that starts from the same weights."""
    config = shape.config(vocab_size)
    batch = zipf_text(shape.batch_size, shape.block_size + 1, vocab_size)
    torch.manual_seed(0)
    pico = PicoForCausalLM(config).train()
    half, peer = PicoForCausalLM(config).train(), LlamaForCausalLM(llama_config(config)).train()
    half.load_state_dict(pico.state_dict())
    peer.load_state_dict(llama_state_dict(config, pico.state_dict()))
    tasks = {
        LLAMA: training_step(peer, batch),
        PICO: training_step(pico, batch),
        BF16: training_step(half, batch, bf16=True),
    }
    if compiled:
        fast = PicoForCausalLM(config).train()
        fast.load_state_dict(pico.state_dict())
        fast.pico_decoder.compile(dynamic=False)
        tasks[COMPILED] = training_step(fast, batch)
    return tasks


def products(dtype: torch.dtype) -> Callable[[], None]:
    """Sixteen 1024-cube products, which tell what the machine can do in the same minute."""
    a, b = torch.randn(CUBE, CUBE).to(dtype), torch.randn(CUBE, CUBE).to(dtype)

    def multiply() -> None:
        for _ in range(PRODUCTS):
            a @ b

    return multiply


def step_flops(config: PicoConfig, tokens: int, block_size: int) -> float:
    """Operations of the matrix products of a step: 6 a weight and token, and causal attention (half the square)."""
    with torch.device("meta"):
        model = PicoForCausalLM(config)
    weights = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
    attention = 6 * config.n_layers * config.d_model * block_size
    return float(tokens * (6 * weights + attention))


def measure_steps(shape: Shape, vocab_size: int, rounds: int, compiled: bool) -> dict[str, Any]:
    """Time, losses, peak memory and model FLOPs utilisation of a shape."""
    tasks = step_tasks(shape, vocab_size, compiled)
    losses = {name: task().item() for name, task in tasks.items()}
    plain: Tasks = {**tasks, FP32_PRODUCTS: products(torch.float32), BF16_PRODUCTS: products(torch.bfloat16)}
    found = report(in_turn(plain, rounds), LLAMA)
    flops = step_flops(shape.config(vocab_size), shape.batch_size * shape.block_size, shape.block_size)
    cpu = found["cpu_seconds"]
    rates = {name: PRODUCTS * 2 * CUBE**3 / cpu[BF16_PRODUCTS if name == BF16 else FP32_PRODUCTS] for name in tasks}
    return found | {
        "first_loss": losses,
        "speed_up": {
            name: {
                "of": base,
                "cpu": median(b[1] / a[1] for a, b in zip(found["rounds"][name], found["rounds"][base], strict=True)),
            }
            for name, base in ((PICO, LLAMA), (BF16, PICO), (COMPILED, PICO))
            if name in tasks
        },
        "flops": flops,
        "products_per_cpu_second": rates,
        "utilisation": {name: flops / cpu[name] / rates[name] for name in tasks},
        "peak_memory": {name: peak_memory(name, shape, vocab_size) for name in tasks if name != COMPILED},
    }


def peak_memory(kind: str, shape: Shape, vocab_size: int) -> int | None:
    """Bytes above the weights at the peak of two steps (gradients and optimizer included), in a fresh process.

    None where the system does not tell (only Linux does).
    """
    if sys.platform != "linux":
        return None
    command = [sys.executable, "-m", __spec__.name, kind, str(shape), str(vocab_size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _peak_memory(kind: str, shape: Shape, vocab_size: int) -> int:
    config = shape.config(vocab_size)
    batch = zipf_text(shape.batch_size, shape.block_size + 1, vocab_size)
    model = LlamaForCausalLM(llama_config(config)) if kind == LLAMA else PicoForCausalLM(config)
    step = training_step(model.train(), batch, bf16=kind == BF16)
    before = psutil.Process().memory_info().rss
    for _ in range(2):
        step()
    # The kernel's own high-water mark; that of getrusage is handed down from the process that started this one.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 - before


if __name__ == "__main__":
    print(_peak_memory(sys.argv[1], Shape.parse(sys.argv[2]), int(sys.argv[3])))
