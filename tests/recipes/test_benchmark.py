import json

import pytest

from pico_maml.recipes.benchmark import main
from pico_maml.trainers import InputError

SMALL = ["--vocab_size", "2000", "--episode_window", "8", "--rounds", "3"]


def test_every_part_is_measured_and_written(tmp_path, capsys):
    shapes = ["--shapes", "tiny:1x64", "--small_shape", "tiny:8x128"]
    results = main(["--output", str(tmp_path), *SMALL, *shapes])
    assert json.loads((tmp_path / "benchmark.json").read_text()) == results
    assert set(results["measured"]) == {
        "step, tiny:1x64",
        "episode, tiny:8x128",
        "generation, tiny:8x128",
        "trainer, tiny:8x128",
    }
    shares = results["measured"].pop("trainer, tiny:8x128")["shares"]
    assert 0 < shares["data"] < 1
    assert shares["saving"] > 0
    printed = capsys.readouterr().out
    for part in results["measured"].values():
        for name, runs in part["rounds"].items():
            assert len(runs) == 3
            assert part["seconds"][name] > 0
            assert name in printed
    step = results["measured"]["step, tiny:1x64"]
    losses = step["first_loss"]
    assert losses["Pico, fp32"] == pytest.approx(losses["LlamaForCausalLM, fp32"], abs=1e-4)
    assert losses["Pico, bf16 autocast"] == pytest.approx(losses["Pico, fp32"], abs=0.02)
    assert step["peak_memory"]["Pico, fp32"] is None or step["peak_memory"]["Pico, fp32"] > 2**20
    assert {"episode", "sampling", "support encoding", "inner loop"} <= {
        entry["what"] for entry in results["measured"]["episode, tiny:8x128"]["ratios"]
    }
    assert results["machine"]["torch"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shapes", "huge:4x256"], "shape 'huge:4x256' must be SIZE:ROWSxTOKENS such as tiny:4x256, with SIZE one"),
        (["--shapes", "tiny:0x256"], "shape 'tiny:0x256' must be"),
        (["--rounds", "1"], "rounds must be at least 3, got 1"),
        (["--parts", "steps"], "parts must be one of step, episode, generation, trainer, got 'steps'"),
        (["--small_shape", "tiny:1x64", "--episode_window", "60", "--parts", "episode"], "too little text for 32-way"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path):
    with pytest.raises(InputError, match=message):
        main(["--output", str(tmp_path), *arguments])
