"""Estimate what the paper's four models cost on GPUs, by formula and stated assumptions.

python -m pico_maml.recipes.scale --output runs/scale --benchmark runs/benchmark/benchmark.json
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from transformers.hf_argparser import HfArg

from ...modeling_pico import PICO_SIZES
from ...trainers import InputError, MAMLConfig
from ..arguments.corpus import CorpusArguments
from ..arguments.model import ModelArguments
from ..arguments.parser import parse
from ..arguments.run import RunArguments
from .growth import growth, plot_growth
from .machines import ASSUMPTIONS, MACHINES, estimate

# Table 11: hours of 6000 steps on four A100.
PAPER_HOURS = {"tiny": 10, "small": 15, "medium": 16, "large": 25}


@dataclass
class ScaleArguments:
    """Arguments of the estimate."""

    output: str = HfArg(help="Folder for scale.csv, growth.csv and growth.png.")
    benchmark: str | None = HfArg(
        default=None, help="A benchmark.json, whose measured rate turns the plot into seconds (unset: operations)."
    )
    utilisation: float = HfArg(
        default=0.3, help="Assumed share of the GPUs' bf16 peak that training reaches, in (0, 1]."
    )

    def __post_init__(self) -> None:
        if not 0 < self.utilisation <= 1:
            raise InputError(f"utilisation must be above 0 and at most 1, got {self.utilisation}")


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run the command; returns the rows of scale.csv."""
    (args,) = parse((ScaleArguments,), argv, prog="scale")
    rate = measured_rate(Path(args.benchmark)) if args.benchmark else None
    rows = [
        {"model": size, **estimate(recipe(size), machine, args.utilisation), "paper_hours": PAPER_HOURS[size]}
        for size in PICO_SIZES
        for machine in MACHINES
    ]
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(output / "scale.csv", index=False)
    grown = growth(recipe("small"))
    grown.to_csv(output / "growth.csv", index=False)
    plot_growth(grown, output / "growth.png", rate)
    print(pd.DataFrame(rows).round(2).to_string(index=False))
    print(f"\nEach line: {ASSUMPTIONS.format(utilisation=args.utilisation)}")
    return rows


def recipe(size: str) -> dict[str, Any]:
    """The arguments of the shipped recipe with the paper's values."""
    types = (ModelArguments, CorpusArguments, RunArguments, MAMLConfig)
    # The recipes ask for bf16 on a GPU, which this machine need not have.
    *parts, args = parse(types, ["--config", f"pico-maml-decoder-{size}", "--use_cpu"])
    return {name: value for part in parts for name, value in asdict(part).items()} | args.to_dict()


def measured_rate(path: Path) -> float:
    """Operations a second of the largest shape in a benchmark, in fp32.

    Raises:
        InputError: the file is no benchmark.json, or holds no training step.
    """
    try:
        measured = json.loads(path.read_text())["measured"]
        largest = max((part for part in measured.values() if "flops" in part), key=lambda part: part["flops"])
        return largest["flops"] / largest["seconds"]["Pico, fp32"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is no benchmark.json with a measured step: run the benchmark first") from error
