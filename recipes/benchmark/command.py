"""Time training, episodes, generation and start-up on this machine, task after task in turn, and report ratios.

python -m pico_maml.recipes.benchmark --output runs/benchmark
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...trainers.checks import check_at_least, check_choice
from ...trainers.meta.episode_config import EpisodeConfig
from ...trainers.runs.json_files import write_json
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
    parts: list[str] = field(default_factory=lambda: list(PARTS), metadata={"help": f"Measure {', '.join(PARTS)}."})
    shapes: list[str] = field(
        default_factory=lambda: ["tiny:4x256", "tiny:2x1024", "small:4x256", "medium:2x256"],
        metadata={"help": "Shapes of the part step, each SIZE:ROWSxTOKENS (model size and micro-batch)."},
    )
    small_shape: str = field(default="tiny:4x256", metadata={"help": "Shape of the other parts."})
    vocab_size: int = field(default=50304, metadata={"help": "Rows of the embedding."})
    episode_window: int = field(default=EpisodeConfig.episode_window, metadata={"help": "Tokens of a window."})
    rounds: int = field(default=7, metadata={"help": "Rounds in which every task runs once, after one to warm up."})
    threads: int = field(
        default=1,
        metadata={"help": "CPU threads. With several, CPU seconds include their waiting for each other."},
    )
    compiled: bool = field(
        default=False, metadata={"help": "Also time the step with a compiled decoder; compiling takes minutes."}
    )

    def __post_init__(self) -> None:
        for part in self.parts:
            check_choice("parts", part, PARTS)
        check_at_least(1000, vocab_size=self.vocab_size)
        check_at_least(2, episode_window=self.episode_window)
        check_at_least(3, rounds=self.rounds)
        check_at_least(1, threads=self.threads)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the command; returns the content of benchmark.json, which is written after each part."""
    (args,) = parse((BenchmarkArguments,), argv, prog="benchmark")
    jobs = planned(args)
    torch.set_num_threads(args.threads)
    results: dict[str, Any] = {"machine": machine(), "arguments": asdict(args), "measured": {}}
    print(" ".join(f"{name}={value}" for name, value in results["machine"].items()))
    for name, job in jobs.items():
        measured = results["measured"][name] = job()
        if "ratios" in measured:
            print("\n" + table(name, measured))
        if "utilisation" in measured:
            print_step(measured)
        if "shares" in measured:
            print_shares(name, measured["shares"])
        if "late_beside_early" in measured:
            print_startup(measured)
        write_json(Path(args.output, "benchmark.json"), results)
    return results


def planned(args: BenchmarkArguments) -> dict[str, Callable[[], dict[str, Any]]]:
    """The measurements of each part, by name."""
    shapes, small = [Shape.parse(text) for text in args.shapes], Shape.parse(args.small_shape)
    parts: dict[str, dict[str, Callable[[], dict[str, Any]]]] = {
        "step": {
            f"step, {shape}": partial(measure_steps, shape, args.vocab_size, args.rounds, args.compiled)
            for shape in shapes
        },
        "episode": {
            f"episode, {small}": partial(measure_episodes, small, args.vocab_size, args.episode_window, args.rounds)
        },
        "generation": {f"generation, {small}": partial(measure_generation, small, args.vocab_size, args.rounds)},
        "trainer": {f"trainer, {small}": partial(measure_trainer, small, args.vocab_size, args.rounds)},
        "startup": {"startup": partial(measure_startup, args.rounds)},
    }
    return {name: job for part in PARTS if part in args.parts for name, job in parts[part].items()}


def print_step(measured: dict[str, Any]) -> None:
    """Print first losses, peak memory, rates and utilisation of a training step."""
    print(f"{'':32}{'first loss':>12}{'peak MB above weights':>24}{'GFLOP a CPU-second':>20}{'of a product':>14}")
    for name, share in measured["utilisation"].items():
        rate = measured["flops"] / measured["cpu_seconds"][name] / 1e9
        memory = measured["peak_memory"].get(name)
        print(
            f"{name:32}{measured['first_loss'][name]:12.5f}{'' if memory is None else f'{memory / 2**20:.0f}':>24}"
            f"{rate:20.1f}{share:14.2f}"
        )
    for name, entry in measured["speed_up"].items():
        print(f"{name}: {entry['cpu']:.2f} times the tokens a CPU-second of {entry['of']}")


def print_shares(title: str, shares: dict[str, float]) -> None:
    """Print the time that a run spends beside its steps."""
    print(f"\n{title}")
    print(f"reading data: {shares['data']:.2%} of the steps; dynamics every 100 steps: {shares['dynamics']:.2%}")
    print(f"saving a checkpoint takes as long as {shares['saving']:.2f} steps")


def print_startup(measured: dict[str, Any]) -> None:
    """Print the seconds until the first step, wall clock, with PyTorch's own number of threads."""
    print("\nfrom the command to the first training step")
    for name, seconds in measured["seconds"].items():
        print(f"{name:46}{seconds:9.2f}")
    print(f"resuming late takes {measured['late_beside_early']:.2f} times as long as early")
