"""What an episode costs, measured here: things are timed in turn within one run, and reported as ratios.

python -m pico_maml.recipes.benchmark --output runs/benchmark
"""

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from ..modeling_pico import PICO_SIZES, PicoConfig, PicoForCausalLM
from ..trainers import InputError, adapt_head, sample_episode
from ..trainers.episodes import Episode, episode_generator, sample_stream_episode
from ..trainers.maml_config import MAMLConfig
from ..trainers.meta.episode_config import EpisodeConfig, check_choice
from ..trainers.meta.episode_loss import InnerLoop
from ..trainers.meta.meta_model import PicoForMetaCausalLM, read_states
from .command_line.arguments import parse, run
from .command_line.run_folder import save_json

MASK_ID = 0


@dataclass
class BenchmarkArguments:
    """Arguments of the benchmark."""

    output: str = field(metadata={"help": "Folder for benchmark.json."})
    model_size: str = field(default="tiny", metadata={"help": f"One of {', '.join(PICO_SIZES)}."})
    vocab_size: int = field(default=50304, metadata={"help": "Rows of the embedding."})
    batch_size: int = field(default=4, metadata={"help": "Blocks of a micro-batch."})
    block_size: int = field(default=256, metadata={"help": "T, tokens of a block."})
    episode_window: int = field(default=EpisodeConfig.episode_window, metadata={"help": "Tokens of a window."})
    rounds: int = field(default=15, metadata={"help": "Times that everything is run in turn."})

    def __post_init__(self) -> None:
        check_choice("model_size", self.model_size, tuple(PICO_SIZES))
        least = {"vocab_size": 1000, "batch_size": 1, "block_size": 64, "episode_window": 2, "rounds": 3}
        for name, minimum in least.items():
            if self.__dict__[name] < minimum:
                raise InputError(f"{name} must be at least {minimum}, got {self.__dict__[name]}")


@dataclass(frozen=True)
class Timing:
    """Seconds of one run: by the clock, and of all CPU threads together."""

    wall: float
    cpu: float


def in_turn(tasks: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[Timing]]:
    """Run all tasks one after the other, `rounds` times after one to warm up: a noisy machine is fair to all."""
    timings: dict[str, list[Timing]] = {name: [] for name in tasks}
    for i in range(rounds + 1):
        for name, task in tasks.items():
            wall, cpu = time.perf_counter(), time.process_time()
            task()
            if i > 0:
                timings[name].append(Timing(time.perf_counter() - wall, time.process_time() - cpu))
    return timings


def ratio(timings: dict[str, list[Timing]], name: str, base: str) -> dict[str, Any]:
    """How many times as long one thing takes as another: the median over rounds, and the middle half of them."""
    pairs = list(zip(timings[name], timings[base], strict=True))
    walls = sorted(a.wall / b.wall for a, b in pairs)
    return {
        "what": name,
        "of": base,
        "wall": median(walls),
        "wall_quartiles": [walls[len(walls) // 4], walls[(3 * len(walls)) // 4]],
        "cpu": median(a.cpu / b.cpu for a, b in pairs),
    }


def zipf_text(rows: int, length: int, vocab_size: int) -> Tensor:
    """(rows, length) ids without the mask, the i-th as frequent as 1 / i, as words roughly are."""
    weights = 1 / torch.arange(1, vocab_size, dtype=torch.float64)
    drawn = torch.multinomial(weights, rows * length, replacement=True, generator=torch.Generator().manual_seed(0))
    return drawn.view(rows, length) + 1


def episode_tasks(args: BenchmarkArguments) -> dict[str, Callable[[], Any]]:
    """Micro-batches with and without episodes, forward and backward, and the parts of an episode."""
    torch.manual_seed(0)
    size = max(args.block_size, args.episode_window)
    config = PicoConfig.from_size(args.model_size, vocab_size=args.vocab_size, max_seq_len=max(2048, size))
    head = {"ways": 32, "layers": MAMLConfig.head_layers, "hidden_dim": MAMLConfig.head_hidden_dim}
    model = PicoForMetaCausalLM.from_causal_lm(PicoForCausalLM(config), 0, **head, dropout=MAMLConfig.head_dropout)
    text = zipf_text(MAMLConfig.episode_pool + args.batch_size, args.block_size + 1, args.vocab_size)
    pool, batch = text[: -args.batch_size, :-1], text[-args.batch_size :]
    ids, targets = batch[:, :-1].contiguous(), batch[:, 1:].contiguous()
    window = args.episode_window

    def sample() -> Episode:
        return found(sample_episode(pool, MASK_ID, 32, 4, 1, episode_generator(0, 0, 0), window=window))

    def sample_stream() -> Episode:
        return found(sample_stream_episode(pool, ids, MASK_ID, 32, 4, 1, episode_generator(0, 0, 0), window=window))

    def step(**inputs: Any) -> None:
        model.zero_grad()
        model(**inputs).loss.backward()

    episode, stream = sample(), sample_stream()
    with torch.no_grad():
        support = read_states(model(episode.support.ids, keep_states=True).states, episode.support, 0)
    past = torch.randn(len(stream.support), config.d_model, generator=torch.Generator().manual_seed(0))

    def encode_support() -> None:
        with torch.no_grad():
            model(episode.support.ids, keep_states=True)

    def inner_loop() -> dict[str, Tensor]:
        return adapt_head(model.meta_head, support, episode.support.labels, EpisodeConfig.inner_steps, 0.5)

    fast = {name: weight.detach().requires_grad_() for name, weight in inner_loop().items()}

    def query() -> None:
        model.zero_grad()
        features = read_states(model.pico_decoder(episode.query.ids).last_hidden_state, episode.query, 0)
        F.cross_entropy(functional_call(model.meta_head, fast, (features,)), episode.query.labels).backward()

    return {
        "next-token micro-batch": lambda: step(input_ids=ids, shift_labels=targets),
        "episode": lambda: step(episode=sample(), dropout_seed=0),
        "exact second-order episode": lambda: step(
            episode=sample(), dropout_seed=0, inner=InnerLoop(first_order=False)
        ),
        "next-token micro-batch with a stream episode": lambda: step(
            input_ids=ids,
            shift_labels=targets,
            keep_states=True,
            episode=sample_stream(),
            dropout_seed=0,
            support_features=past,
        ),
        "sampling": sample,
        "support encoding": encode_support,
        "inner loop": inner_loop,
        "query": query,
    }


def found(episode: Episode | None) -> Episode:
    """The episode.

    Raises:
        InputError: there is none, because the text is too short.
    """
    if episode is None:
        raise InputError(
            "too little text for 32-way episodes: raise block_size or batch_size, or lower episode_window"
        )
    return episode


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    return {
        "processor": models[0].split(":")[1].strip() if models else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "pico-maml")},
    }


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the recipe; returns what it writes to benchmark.json."""
    (args,) = parse((BenchmarkArguments,), argv, prog="benchmark")
    tasks = episode_tasks(args)
    timings = in_turn(tasks, args.rounds)
    base = "next-token micro-batch"
    results = {
        "machine": machine(),
        "arguments": args.__dict__,
        "seconds": {name: median(timing.wall for timing in runs) for name, runs in timings.items()},
        "cpu_seconds": {name: median(timing.cpu for timing in runs) for name, runs in timings.items()},
        "ratios": [ratio(timings, name, base) for name in tasks if name != base],
        "rounds": {name: [[timing.wall, timing.cpu] for timing in runs] for name, runs in timings.items()},
    }
    print(json.dumps(results["machine"]))
    print(f"{'':46}{'seconds':>9}{'of a ' + base:>30}{'middle half':>15}{'CPU':>7}")
    print(f"{base:46}{results['seconds'][base]:9.4f}")
    for entry in results["ratios"]:
        low, high = entry["wall_quartiles"]
        seconds = results["seconds"][entry["what"]]
        print(
            f"{entry['what']:46}{seconds:9.4f}{entry['wall']:30.3f}{f'{low:.3f}..{high:.3f}':>15}{entry['cpu']:7.3f}"
        )
    save_json(Path(args.output, "benchmark.json"), results)
    return results


if __name__ == "__main__":
    run(main)
