import json

import pytest

from pico_maml.recipes.benchmark import Timing, main, ratio
from pico_maml.trainers import InputError

SMALL = ["--vocab_size", "2000", "--batch_size", "8", "--block_size", "128", "--episode_window", "8"]


def test_ratios_are_of_the_same_round():
    timings = {"a": [Timing(2, 4), Timing(30, 3), Timing(4, 2)], "b": [Timing(1, 2), Timing(10, 2), Timing(2, 2)]}
    found = ratio(timings, "a", "b")
    assert (found["wall"], found["cpu"]) == (2, 1.5)
    assert found["wall_quartiles"] == [2, 3]


def test_every_part_is_timed_and_written(tmp_path, capsys):
    results = main(["--output", str(tmp_path), *SMALL, "--rounds", "3"])
    assert json.loads((tmp_path / "benchmark.json").read_text()) == results
    assert {
        "episode",
        "next-token micro-batch with a stream episode",
        "sampling",
        "support encoding",
        "inner loop",
    } <= {entry["what"] for entry in results["ratios"]}
    for name, runs in results["rounds"].items():
        assert len(runs) == 3, name
        assert results["seconds"][name] > 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in results["seconds"])
    assert results["machine"]["torch"]


def test_bad_arguments(tmp_path):
    with pytest.raises(InputError, match="model_size must be one of tiny, small, medium, large, got 'huge'"):
        main(["--output", str(tmp_path), "--model_size", "huge"])
    with pytest.raises(InputError, match="rounds must be at least 3, got 1"):
        main(["--output", str(tmp_path), "--rounds", "1"])
    with pytest.raises(InputError, match="too little text for 32-way episodes"):
        main(["--output", str(tmp_path), "--batch_size", "1", "--block_size", "64", "--episode_window", "60"])
