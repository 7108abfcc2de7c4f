"""Writes run folders with invented figures, as training would leave them, finished or broken off."""

import json
from pathlib import Path

import numpy as np

from pico_maml.trainers.runs.learning_dynamics import DynamicsFile, Row

ARGUMENTS = {
    "model_size": "tiny",
    "d_model": 32,
    "n_layers": 2,
    "attention_n_heads": 4,
    "attention_n_kv_heads": 2,
    "activation_hidden_dim": 64,
    "max_seq_len": 64,
    "vocab_size": 400,
    "block_size": 48,
    "max_steps": 300,
    "hybrid_ratio": 0.5,
    "n_way": 4,
    "k_shot": 2,
    "n_query": 1,
    "episode_window": 8,
    "inner_steps": 3,
    "head_layers": 2,
    "head_hidden_dim": 16,
}
TOKENS_A_STEP = 1000
SECONDS_A_STEP = 0.5
CPU_SECONDS_A_STEP = 2.0


def write_run(
    folder: Path, steps: int = 300, episodes: bool = True, dynamics: bool = False, finished: bool = True, seed: int = 0
) -> Path:
    """Write a run that logged every ten steps."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    (folder / "arguments.json").write_text(json.dumps(ARGUMENTS | {"hybrid_ratio": 0.5 if episodes else 0.0}))
    lines = [{"eval_next_token_loss": 6.0, "eval_perplexity": 403.4, "step": 0}]
    for step in range(10, steps + 1, 10):
        loss = 3 + 3 * np.exp(-step / 80)
        log = {
            "next_token_loss": loss + rng.normal() * 0.02,
            "grad_norm": 1.0,
            "learning_rate": 1e-3 * (1 - step / steps),
            "head_weight_mean": 0.0,
            "head_weight_std": 0.1,
            "tokens_seen": step * TOKENS_A_STEP,
            "next_token_tokens": step * TOKENS_A_STEP // (2 if episodes else 1),
            "episodes": step if episodes else 0,
            "tokens_per_second": TOKENS_A_STEP / SECONDS_A_STEP,
            "training_cpu_seconds": step * CPU_SECONDS_A_STEP,
            "other_cpu_seconds": 7.0,
            "step": step,
        }
        if episodes:
            log |= {"query_accuracy": 0.3, "support_accuracy": 0.5, "adaptation_gain": 0.05, "query_loss": 1.2}
            log |= {"prototype_accuracy": 0.4}
        lines.append(log)
        if step % 50 == 0:
            lines.append({"eval_next_token_loss": loss, "eval_perplexity": float(np.exp(loss)), "step": step})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if dynamics:
        write_dynamics(folder, steps, rng)
    if finished:
        (folder / "results.json").write_text(json.dumps(results(steps, episodes)))
    return folder


def write_dynamics(folder: Path, steps: int, rng: np.random.Generator, rise: float = 0.2) -> None:
    """Write effective ranks that rise and then fall, the first layer first, and attention entropies of two heads."""
    file = DynamicsFile(folder / "learning_dynamics.jsonl")
    for step in range(0, steps + 1, 10):
        rows = []
        for layer, knee in enumerate((0.3, 0.6)):
            t = step / steps
            rank = 0.8 + rise * min(t, knee) - 0.4 * max(0, t - knee) + rng.normal() * 0.002
            for module in ("attention.v_proj", "attention.o_proj"):
                rows += [
                    Row("proportional_effective_rank", rank, "", module, layer),
                    Row("effective_rank", 32 * rank, "", module, layer),
                    Row("proportional_effective_rank", 0.4 + rng.normal() * 0.01, "query", module, layer),
                ]
            rows += [Row("attention_entropy", 2 + head + rng.normal() * 0.01, "", "", layer, head) for head in (0, 1)]
        file.append(step, step * TOKENS_A_STEP, rows)


def results(steps: int, episodes: bool) -> dict:
    """results.json of a finished run."""

    def accuracy(mean):
        return {"mean": mean, "low": mean - 0.02, "high": mean + 0.02}

    return {
        "steps": steps,
        "adaptation": {
            "n_way": 4,
            "k_shot": 2,
            "episodes": 50,
            "chance": 0.25,
            "prototypes": accuracy(0.4),
            "trained": [accuracy(0.25), accuracy(0.31)] if episodes else None,
            "fresh": [accuracy(0.25), accuracy(0.3)],
            "differences": {f"{head} - prototypes": accuracy(-0.1) for head in ("trained", "fresh")},
        },
    }
