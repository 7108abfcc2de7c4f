"""Runs whose losses and FLOPs are known: the lowest at equal steps is not the lowest at equal FLOPs."""

import json
import re
from pathlib import Path

import pytest
from report_runs import ARGUMENTS, TOKENS_A_STEP
from scipy import stats

from pico_maml.recipes.report.analysis.equal_flops import at_equal_flops
from pico_maml.recipes.report.analysis.loss_statements import loss_statements
from pico_maml.trainers.runs.reader import RunData, load_run

# Nats that the held-out loss falls by a step, from 6.
SLOPES = {"vanilla": 0.010, "hybrid": 0.008}


def write(folder: Path, kind: str, every: int = 50, shift: float = 0.0, steps: int = 300, **changes) -> RunData:
    """A run whose loss falls linearly; the hybrid one replaces half of the tokens by one episode a step."""
    folder.mkdir(parents=True)
    ratio = 0.5 if kind == "hybrid" else 0.0
    (folder / "arguments.json").write_text(json.dumps(ARGUMENTS | {"hybrid_ratio": ratio, "seed": 1} | changes))
    lines = []
    for step in range(0, steps + 1, every):
        lines.append({"step": step, "eval_next_token_loss": 6 - SLOPES[kind] * step + shift})
        counts = {
            "tokens_seen": step * TOKENS_A_STEP,
            "next_token_tokens": step * TOKENS_A_STEP // (2 if ratio else 1),
            "episodes": step if ratio else 0,
            "tokens_per_second": 1.0,
        }
        lines += [counts | {"step": step}] * (step > 0)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return load_run(folder, folder.name)


def flops_a_step(run: RunData) -> float:
    assert run.cost is not None
    half = run.arguments["hybrid_ratio"] > 0
    return run.cost.token * TOKENS_A_STEP / 2 + run.cost.episode if half else run.cost.token * TOKENS_A_STEP


@pytest.fixture
def runs(tmp_path) -> list[RunData]:
    return [write(tmp_path / kind, kind) for kind in SLOPES]


def test_lowest_at_equal_flops_is_not_the_lowest_at_equal_steps(runs):
    equal = at_equal_flops(runs)
    assert equal is not None
    assert equal.flops == pytest.approx(300 * flops_a_step(runs[1]))
    share = flops_a_step(runs[1]) / flops_a_step(runs[0])
    assert 0.4 < share < 0.8, "the hybrid run costs less a step"
    hybrid, vanilla = equal.losses
    assert (hybrid.run.label, hybrid.steps, hybrid.interpolated) == ("hybrid", (300, 300), False)
    assert hybrid.loss == pytest.approx(6 - 0.008 * 300)
    assert vanilla.step == pytest.approx(300 * share)
    assert vanilla.loss == pytest.approx(6 - 0.010 * 300 * share), "linear in FLOPs, so the interpolation is exact"
    before, after = vanilla.steps
    assert before <= 300 * share <= after == before + 50
    text = " ".join(loss_statements(runs, equal))
    assert f"interpolated between step {before} ({6 - 0.01 * before:.3f}) and {after} ({6 - 0.01 * after:.3f})" in text
    assert "Lowest of these runs, without a test: hybrid" in text
    assert "At equal steps (300) the lowest would be vanilla, 3.000" in text
    assert "not enough runs to say" in text
    assert re.search(r"In the middle of the learning-rate schedule at these FLOPs: vanilla \(step \d+ of 300\)", text)
    assert "depends on the interpolation" not in text


def test_nothing_is_extrapolated(tmp_path, runs):
    late = write(tmp_path / "late", "vanilla", every=250)
    path = late.path / "metrics.jsonl"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if json.loads(line)["step"] > 0))
    equal = at_equal_flops([*runs, load_run(late.path, "late")])
    assert equal is not None
    assert equal.left_out == ("late",), "first evaluated at step 250, where it had used more than the hybrid run ever"
    assert all(at.loss in at.losses or min(at.losses) < at.loss < max(at.losses) for at in equal.losses)
    assert "Not compared at equal FLOPs: late" in " ".join(loss_statements(runs, equal))


def test_an_order_that_depends_on_the_interpolation_is_said_to(tmp_path):
    runs = [write(tmp_path / "vanilla", "vanilla", every=150, shift=-0.7), write(tmp_path / "hybrid", "hybrid")]
    text = " ".join(loss_statements(runs, at_equal_flops(runs)))
    assert "depends on the interpolation" in text


def test_runs_without_known_flops_are_not_compared(runs):
    (runs[1].path / "arguments.json").unlink()
    again = [runs[0], load_run(runs[1].path, "hybrid")]
    assert at_equal_flops(again) is None
    text = " ".join(loss_statements(again, None))
    assert "vanilla: held-out next-token loss 6.000 nats a token at step 0, 3.000 at step 300" in text
    assert "Held-out losses are not compared" in text
    assert "Lowest" not in text


def test_arms_of_several_seeds_are_compared_by_a_paired_t_test(tmp_path):
    # Each seed shifts both arms alike, and the hybrid arm by what stands here besides.
    besides = {1: 0.00, 2: 0.02, 3: -0.01}
    runs = []
    for seed, more in besides.items():
        runs.append(write(tmp_path / f"vanilla-{seed}", "vanilla", shift=0.5 * seed, seed=seed, output_dir=str(seed)))
        runs.append(write(tmp_path / f"hybrid-{seed}", "hybrid", shift=0.5 * seed + more, seed=seed, output_dir="x"))
    equal = at_equal_flops(runs)
    assert equal is not None
    (difference,) = equal.differences
    step = 300 * flops_a_step(runs[1]) / flops_a_step(runs[0])
    expected = [(6 - 0.010 * step) - (6 - 0.008 * 300) - more for more in besides.values()]
    assert sorted(difference.comparison.differences) == pytest.approx(sorted(expected))
    assert difference.p == pytest.approx(stats.ttest_1samp(expected, 0).pvalue)
    text = " ".join(loss_statements(runs, equal))
    assert "paired by 3 seeds" in text
    assert "the arm of hybrid-1 + hybrid-2 + hybrid-3 is lower" in text
    assert "not enough runs to say" not in text


def test_one_arm_of_several_seeds_is_named_as_that(tmp_path):
    runs = [write(tmp_path / str(seed), "vanilla", seed=seed) for seed in (1, 2)]
    text = " ".join(loss_statements(runs, at_equal_flops(runs)))
    assert "they differ in their seed alone" in text
    assert "not enough runs" not in text


def test_arms_without_common_seeds_are_not_enough(tmp_path):
    seeds = {"vanilla": (1, 2), "hybrid": (3, 4)}
    runs = [write(tmp_path / f"{kind}-{seed}", kind, seed=seed) for kind in SLOPES for seed in seeds[kind]]
    equal = at_equal_flops(runs)
    assert equal is not None
    assert equal.differences == ()
    assert "not enough runs to say" in " ".join(loss_statements(runs, equal))
