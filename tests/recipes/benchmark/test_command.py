import json

import pytest

from pico_maml.recipes.benchmark import inference, startup, steps, trainer
from pico_maml.recipes.benchmark.command import main
from pico_maml.recipes.benchmark.steps import PICO, peak_memory
from pico_maml.trainers import InputError

SMALL = ["--vocab_size", "2000", "--episode_window", "8", "--rounds", "3"]
INFERENCE = ["loss", "features", "generation"]


def test_benchmark_writes_every_part_with_its_rounds(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(steps, "CUBE", 64)
    monkeypatch.setattr(inference, "SENTENCES", 8)
    monkeypatch.setattr(inference, "NEW_TOKENS", 3)
    monkeypatch.setattr(trainer, "STEPS", 5)
    # Each model's peak is taken in a process of its own; one is enough here.
    monkeypatch.setattr(steps, "peak_memory", lambda name, *shape: peak_memory(name, *shape) if name == PICO else None)
    episode = main(["--output", str(tmp_path), *SMALL, "--parts", "episode", "--small_shape", "tiny:8x128"])
    others = ["--parts", "step", *INFERENCE, "trainer", "--shapes", "tiny:1x64", "--small_shape", "tiny:1x64"]
    results = main(["--output", str(tmp_path), *SMALL, *others])
    assert json.loads((tmp_path / "benchmark.json").read_text()) == results
    assert set(results["measured"]) == {f"{part}, tiny:1x64" for part in ("step", *INFERENCE, "trainer")}
    shares = results["measured"].pop("trainer, tiny:1x64")["shares"]
    assert 0 < shares["data"] < 1
    assert shares["saving"] > 0
    printed = capsys.readouterr().out
    results["measured"] |= episode["measured"]
    for part in results["measured"].values():
        for name, runs in part["rounds"].items():
            assert len(runs) == 3
            assert part["seconds"][name] > 0
            assert name in printed
    step = results["measured"]["step, tiny:1x64"]
    losses = step["first_loss"]
    assert losses["Pico, fp32"] == pytest.approx(losses["LlamaForCausalLM, fp32"], abs=1e-4)
    assert losses["Pico, bf16 autocast"] == pytest.approx(losses["Pico, fp32"], abs=0.02)
    assert step["peak_memory"][PICO] is None or step["peak_memory"][PICO] > 2**20
    assert {"episode", "sampling", "support encoding", "inner loop"} <= {
        entry["what"] for entry in results["measured"]["episode, tiny:8x128"]["ratios"]
    }
    assert results["machine"]["torch"]


def test_startup_times_the_demo_and_resumes_early_and_late_in_turn(monkeypatch):
    began, caches = [], []

    def faked(options, cache=None):
        caches.append(cache)
        began.append({name: options.get(name) for name in ("config", "resume", "max_steps")})
        return 2.0 + options["max_steps"]

    monkeypatch.setattr(startup, "first_log", faked)
    startups = startup.measure_startup(rounds=3, late=98)
    assert startups["seconds"] == {"demo at first": 3.0, "demo again": 3.0, "resume early": 24.0, "resume late": 102.0}
    assert startups["late_beside_early"] == 102 / 24
    assert [options["max_steps"] for options in began] == [20, 98, *(1, 1, 21, 99), *(1, 1, 22, 100), *(1, 1, 23, 101)]
    assert [options["resume"] for options in began[:6]] == [None, None, None, None, True, True]
    assert caches[2::4] == caches[3::4], "the second start of a round finds what the first one cached"
    assert len(set(caches[2::4])) == 3


def test_first_log_times_a_run_and_reports_its_error(corpus, tmp_path):
    options = startup.MODEL | {"dataset": corpus, "output_dir": tmp_path / "run", "max_steps": 1, "eval_episodes": 0}
    assert 0 < startup.first_log(options | {"hybrid_ratio": 0.0}) < 200
    assert (tmp_path / "run" / "model.safetensors").exists()
    with pytest.raises(InputError, match=r"a run of the benchmark failed: error: .* is not empty"):
        startup.first_log(options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shapes", "huge:4x256"], "shape 'huge:4x256' must be SIZE:ROWSxTOKENS such as tiny:4x256, with SIZE one"),
        (["--shapes", "tiny:0x256"], "shape 'tiny:0x256' must be"),
        (["--rounds", "1"], "rounds must be at least 3, got 1"),
        (["--parts", "steps"], "parts must be one of step, episode, loss, features, generation, trainer, "),
        (["--small_shape", "tiny:1x64", "--episode_window", "60", "--parts", "episode"], "too little text for 32-way"),
    ],
)
def test_wrong_arguments_are_errors(arguments, message, tmp_path):
    with pytest.raises(InputError, match=message):
        main(["--output", str(tmp_path), *arguments])
