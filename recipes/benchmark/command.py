"""What training costs, measured here: things are timed in turn within one run, and reported as ratios.

python -m pico_maml.recipes.benchmark --output runs/benchmark
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...trainers import InputError
from ...trainers.checks import check_choice
from ...trainers.meta.episode_config import EpisodeConfig
from ...trainers.runs.folder import save_json
from ..arguments.parser import parse
from .episodes import measure_episodes
from .generation import measure_generation
from .shapes import Shape
from .startup import measure_startup
from .steps import measure_steps
from .timing import machine, table
from .trainer import measure_trainer

PARTS = ("step", "episode", "generation", "trainer", "startup")


@dataclass
class BenchmarkArguments:
    """Arguments of the benchmark."""

    output: str = field(metadata={"help": "Folder for benchmark.json."})
    parts: list[str] = field(default_factory=lambda: list(PARTS), metadata={"help": f"Of {', '.join(PARTS)}."})
    shapes: list[str] = field(
        default_factory=lambda: ["tiny:4x256", "tiny:2x1024", "small:4x256", "medium:2x256"],
        metadata={"help": "Model sizes with micro-batches, SIZE:ROWSxTOKENS, for the part step."},
    )
    small_shape: str = field(default="tiny:4x256", metadata={"help": "The shape of the other parts."})
    vocab_size: int = field(default=50304, metadata={"help": "Rows of the embedding."})
    episode_window: int = field(default=EpisodeConfig.episode_window, metadata={"help": "Tokens of a window."})
    rounds: int = field(default=7, metadata={"help": "Times that everything is run in turn."})
    threads: int = field(
        default=1, metadata={"help": "CPU threads; of several, CPU seconds count the waiting for each other too."}
    )
    compiled: bool = field(
        default=False, metadata={"help": "Time the step with a compiled decoder too (compiling takes minutes)."}
    )

    def __post_init__(self) -> None:
        for part in self.parts:
            check_choice("parts", part, PARTS)
        least = {"vocab_size": 1000, "episode_window": 2, "rounds": 3, "threads": 1}
        for name, minimum in least.items():
            if self.__dict__[name] < minimum:
                raise InputError(f"{name} must be at least {minimum}, got {self.__dict__[name]}")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the recipe; returns what it writes to benchmark.json after each part."""
    (args,) = parse((BenchmarkArguments,), argv, prog="benchmark")
    shapes, small = [Shape.parse(text) for text in args.shapes], Shape.parse(args.small_shape)
    torch.set_num_threads(args.threads)
    jobs: dict[str, Callable[[], dict[str, Any]]] = {}
    if "step" in args.parts:
        for shape in shapes:
            jobs[f"step, {shape}"] = partial(measure_steps, shape, args.vocab_size, args.rounds, args.compiled)
    if "episode" in args.parts:
        jobs[f"episode, {small}"] = lambda: measure_episodes(small, args.vocab_size, args.episode_window, args.rounds)
    if "generation" in args.parts:
        jobs[f"generation, {small}"] = lambda: measure_generation(small, args.vocab_size, args.rounds)
    if "trainer" in args.parts:
        jobs[f"trainer, {small}"] = lambda: measure_trainer(small, args.vocab_size, args.rounds)
    if "startup" in args.parts:
        jobs["startup"] = lambda: measure_startup(args.rounds)
    results: dict[str, Any] = {"machine": machine(), "arguments": asdict(args), "measured": {}}
    print(" ".join(f"{name}={value}" for name, value in results["machine"].items()))
    for name, job in jobs.items():
        found = results["measured"][name] = job()
        if "ratios" in found:
            print("\n" + table(name, found))
        if "utilisation" in found:
            print_step(found)
        if "shares" in found:
            print_shares(name, found["shares"])
        if "late_beside_early" in found:
            print_startup(found)
        save_json(Path(args.output, "benchmark.json"), results)
    return results


def print_step(found: dict[str, Any]) -> None:
    """The figures that only a training step has."""
    print(f"{'':32}{'first loss':>12}{'peak MB above weights':>24}{'GFLOP a CPU-second':>20}{'of a product':>14}")
    for name, share in found["utilisation"].items():
        rate = found["flops"] / found["cpu_seconds"][name] / 1e9
        memory = found["peak_memory"].get(name)
        print(
            f"{name:32}{found['first_loss'][name]:12.5f}{'' if memory is None else f'{memory / 2**20:.0f}':>24}"
            f"{rate:20.1f}{share:14.2f}"
        )
    for name, entry in found["speed_up"].items():
        print(f"{name}: {entry['cpu']:.2f} times the tokens a CPU-second of {entry['of']}")


def print_shares(title: str, shares: dict[str, float]) -> None:
    """What surrounds the steps of a run."""
    print(f"\n{title}")
    print(f"reading data: {shares['data']:.2%} of the steps; dynamics every 100 steps: {shares['dynamics']:.2%}")
    print(f"saving a checkpoint takes as long as {shares['saving']:.2f} steps")


def print_startup(found: dict[str, Any]) -> None:
    """Seconds until the first step, by the clock and with as many threads as PyTorch takes."""
    print("\nfrom the command to the first training step")
    for name, seconds in found["seconds"].items():
        print(f"{name:46}{seconds:9.2f}")
    print(f"resuming late takes {found['late_beside_early']:.2f} times as long as early")
