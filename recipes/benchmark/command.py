"""Time training, episodes, inference, start-up and corpora on this machine, in turn, and report ratios and growth.

python -m pico_maml.recipes.benchmark --output runs/benchmark
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers.hf_argparser import HfArg

from ...trainers.checks import check_at_least, check_choice
from ...trainers.meta.episode_config import EpisodeConfig
from ...trainers.runs.json_files import write_json
from ..arguments.parser import parse
from .commands import measure_commands
from .episodes import measure_episodes
from .growth import growth_table, measure_growth
from .inference import measure_features, measure_generation, measure_loss
from .page import measure_page
from .preparation import measure_preparation
from .shapes import Shape
from .startup import measure_startup
from .steps import measure_steps
from .timing import machine, table
from .trainer import measure_trainer

PARTS = (
    "step",
    "episode",
    "loss",
    "features",
    "generation",
    "trainer",
    "startup",
    "commands",
    "preparation",
    "page",
    "growth",
)


@dataclass
class BenchmarkArguments:
    """Arguments of the benchmark."""

    output: str = HfArg(help="Folder for benchmark.json.")
    parts: list[str] = HfArg(default_factory=lambda: list(PARTS), help=f"Measure {', '.join(PARTS)}.")
    shapes: list[str] = HfArg(
        default_factory=lambda: ["tiny:4x256", "tiny:2x1024", "small:4x256", "medium:2x256"],
        help="Shapes of the part step, each SIZE:ROWSxTOKENS (model size and micro-batch).",
    )
    small_shape: str = HfArg(default="tiny:4x256", help="Shape of the other parts.")
    vocab_size: int = HfArg(default=50304, help="Rows of the embedding.")
    episode_window: int = HfArg(default=EpisodeConfig.episode_window, help="Tokens of a window.")
    rounds: int = HfArg(default=7, help="Rounds in which every task runs once, after one to warm up.")
    threads: int = HfArg(
        default=1, help="CPU threads. With several, CPU seconds include their waiting for each other."
    )
    compiled: bool = HfArg(default=False, help="Also time the step with a compiled decoder; compiling takes minutes.")

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
        print(f"\n{name}\n{text_of(measured)}")
        write_json(Path(args.output, "benchmark.json"), results)
    return results


def planned(args: BenchmarkArguments) -> dict[str, Callable[[], dict[str, Any]]]:
    """The measurements of the chosen parts, by name."""
    shapes, small = map(Shape.parse, args.shapes), Shape.parse(args.small_shape)
    shared = (args.vocab_size, args.rounds)
    jobs = {f"step, {shape}": partial(measure_steps, shape, *shared, args.compiled) for shape in shapes} | {
        f"episode, {small}": partial(measure_episodes, small, *shared, args.episode_window),
        f"loss, {small}": partial(measure_loss, small, *shared),
        f"features, {small}": partial(measure_features, small, *shared),
        f"generation, {small}": partial(measure_generation, small, *shared),
        f"trainer, {small}": partial(measure_trainer, small, *shared),
        "startup": partial(measure_startup, args.rounds),
        "commands": partial(measure_commands, args.rounds),
        "preparation": partial(measure_preparation, args.rounds),
        "page": partial(measure_page, args.rounds),
        "growth": partial(measure_growth, args.rounds),
    }
    return {name: job for name, job in jobs.items() if name.split(",")[0] in args.parts}


def text_of(measured: dict[str, Any]) -> str:
    """A measurement as text for people."""
    if "shares" in measured:
        shares = measured["shares"]
        return (
            f"reading data: {shares['data']:.2%} of the steps; dynamics every 100 steps: {shares['dynamics']:.2%}\n"
            f"saving a checkpoint takes as long as {shares['saving']:.2f} steps"
        )
    if "late_beside_early" in measured:
        lines = [f"{name}: {seconds:.2f} s to the first step" for name, seconds in measured["seconds"].items()]
        return "\n".join([*lines, f"resuming late takes {measured['late_beside_early']:.2f} times as long as early"])
    if "growth" in measured:
        return growth_table(measured["growth"])
    if "bytes" in measured:
        return "\n".join(
            f"{name}: {seconds:.1f} CPU seconds, {measured['bytes'][name] / 1e6:.1f} MB"
            for name, seconds in measured["cpu_seconds"].items()
        )
    return table(measured) + (f"\n{step_table(measured)}" if "utilisation" in measured else "")


def step_table(measured: dict[str, Any]) -> str:
    """First losses, peak memory, rates and utilisation of a training step."""
    columns = {
        "first loss": measured["first_loss"],
        "peak MB above weights": pd.Series(measured["peak_memory"], dtype=float) / 2**20,
        "GFLOP a CPU-second": measured["flops"] / 1e9 / pd.Series(measured["cpu_seconds"]),
        "of a product": measured["utilisation"],
    }
    shown = pd.DataFrame(columns).loc[list(measured["utilisation"])]
    lines = [
        f"{name}: {entry['cpu']:.2f} times the tokens a CPU-second of {entry['of']}"
        for name, entry in measured["speed_up"].items()
    ]
    return "\n".join([shown.to_string(float_format="{:.3f}".format, na_rep=""), *lines])
