"""Measure a step of next-token training beside transformers' LLaMA of the same shape: time, memory, utilisation.

python -m pico_maml.recipes.benchmark.steps "Pico, fp32" tiny:4x256 50304    # peak memory of two steps, in bytes
"""

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from ...modeling_pico import PicoForCausalLM
from ...modeling_pico.conversion_pico import llama_config
from ...trainers.cost import ModelCost
from .shapes import Shape, pico_and_llama, zipf_text
from .timing import in_turn, ratio, report

LLAMA, PICO, BF16, COMPILED = "LlamaForCausalLM, fp32", "Pico, fp32", "Pico, bf16 autocast", "Pico, fp32, compiled"
# Products so large that only their arithmetic takes time: they tell what the machine can do.
CUBE, PRODUCTS = 1024, 16
FP32_PRODUCTS, BF16_PRODUCTS = "products alone, fp32", "products alone, bf16"


def training_step(model: nn.Module, batch: Tensor, bf16: bool = False) -> Callable[[], Tensor]:
    """A function that trains on (B, T + 1) ids (forward, loss, backward, clipping, AdamW) and returns the loss."""
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-4, fused=True)
    ids, targets = batch[:, :-1].contiguous(), batch[:, 1:].contiguous()
    # LLaMA reads shifted targets only if labels are given too.
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
    """The training step of each model by name, on the same rows and from the same weights."""
    batch = zipf_text(shape.batch_size, shape.block_size + 1, vocab_size)
    pico, llama = pico_and_llama(shape.config(vocab_size))
    tasks = {
        LLAMA: training_step(llama, batch),
        PICO: training_step(pico, batch),
        BF16: training_step(deepcopy(pico), batch, bf16=True),
    }
    if compiled:
        fast = deepcopy(pico)
        fast.pico_decoder.compile(dynamic=False)
        tasks[COMPILED] = training_step(fast, batch)
    return tasks


def multiply(matrix: Tensor) -> None:
    """Square a matrix sixteen times."""
    for _ in range(PRODUCTS):
        matrix @ matrix


def measure_steps(shape: Shape, vocab_size: int, rounds: int, compiled: bool) -> dict[str, Any]:
    """Time, first losses, peak memory, and utilisation: the model's FLOPs a second over those of products alone."""
    tasks = step_tasks(shape, vocab_size, compiled)
    losses = {name: task().item() for name, task in tasks.items()}
    matrix = torch.randn(CUBE, CUBE)
    plain = {FP32_PRODUCTS: partial(multiply, matrix), BF16_PRODUCTS: partial(multiply, matrix.bfloat16())}
    timings = in_turn({**tasks, **plain}, rounds)
    medians = report(timings, LLAMA)
    flops = ModelCost.of(shape.config(vocab_size)).next_token(shape.batch_size * shape.block_size, shape.block_size)
    cpu = medians["cpu_seconds"]
    rates = {name: PRODUCTS * 2 * CUBE**3 / cpu[BF16_PRODUCTS if name == BF16 else FP32_PRODUCTS] for name in tasks}
    return medians | {
        "first_loss": losses,
        "speed_up": {
            name: {"of": base, "cpu": ratio(timings, base, name)["cpu"]}
            for name, base in ((PICO, LLAMA), (BF16, PICO), (COMPILED, PICO))
            if name in tasks
        },
        "flops": flops,
        "products_per_cpu_second": rates,
        "utilisation": {name: flops / cpu[name] / rates[name] for name in tasks},
        "peak_memory": {name: peak_memory(name, shape, vocab_size) for name in tasks if name != COMPILED},
    }


def peak_memory(kind: str, shape: Shape, vocab_size: int) -> int | None:
    """Peak bytes of two steps above the weights (with gradients and optimizer), in a fresh process; Linux only."""
    if sys.platform != "linux":
        return None
    command = [sys.executable, "-m", __spec__.name, kind, str(shape), str(vocab_size)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _peak_memory(kind: str, shape: Shape, vocab_size: int) -> int:
    config = shape.config(vocab_size)
    batch = zipf_text(shape.batch_size, shape.block_size + 1, vocab_size)
    model = LlamaForCausalLM(llama_config(config)) if kind == LLAMA else PicoForCausalLM(config)
    step = training_step(model, batch, bf16=kind == BF16)
    before = psutil.Process().memory_info().rss
    for _ in range(2):
        step()
    return peak_bytes() - before


def peak_bytes() -> int:
    """The most memory that this process has had at once; Linux only."""
    # Not getrusage, whose peak includes that of the parent process.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(_peak_memory(sys.argv[1], Shape.parse(sys.argv[2]), int(sys.argv[3])))
