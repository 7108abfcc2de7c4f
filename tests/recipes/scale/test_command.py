import json

import pandas as pd
import pytest

from pico_maml.recipes.scale.command import main
from pico_maml.trainers import InputError


def test_estimates_cover_the_four_sizes_on_every_machine(tmp_path, capsys):
    rows = main(["--output", str(tmp_path)])
    assert len(rows) == len(pd.read_csv(tmp_path / "scale.csv")) == 16
    large = {row["machine"]: row for row in rows if row["model"] == "large"}
    # 6 operations a weight and token: 492.6M weights in the products, half of 2048 x 2048 tokens
    # to be next-token prediction, attention and episodes on top.
    tokens = 2048 * 2048 / 2
    products = tokens * 6 * (569_808_384 - 50_304 * 1536 - 25 * 1536)
    assert products < large["4 x A100, DDP"]["petaflop_a_step"] * 1e15 < 1.5 * products
    assert large["4 x A100, DDP"]["state_gb_a_gpu"] == pytest.approx(569_808_384 * 16 / 1e9, rel=1e-3)
    assert large["4 x A100, FSDP2"]["state_gb_a_gpu"] == pytest.approx(large["4 x A100, DDP"]["state_gb_a_gpu"] / 4)
    assert large["4 x A100, DDP"]["sent_gb_a_step"] == pytest.approx(1.5 * 4 * 569_808_384 / 1e9, rel=1e-3)
    assert large["4 x A100, DDP"]["buffers_gb_a_gpu"] == pytest.approx(4 * 569_808_384 / 1e9, rel=1e-3)
    # bf16. Half of 8 micro-batches gather embedding and layers twice, the others, episodes, three times.
    lm_head, layer = 50_304 * 1536, (569_808_384 - 2 * 50_304 * 1536) / 12
    gathered = 8 * (2.5 * (569_808_384 - lm_head) + lm_head + 0.5 * layer)
    fsdp = large["4 x A100, FSDP2"]
    assert fsdp["sent_gb_a_step"] == pytest.approx(0.75 * 2 * (gathered + 569_808_384) / 1e9, rel=2e-3)
    # Gradients are whole until the last micro-batch; beside them the LM head, the embedding and a layer.
    assert fsdp["buffers_gb_a_gpu"] == pytest.approx(2 * (569_808_384 + 2 * lm_head + layer) / 1e9, rel=2e-3)
    # 64 rows of 2048 tokens: of the large model one layer is stored whole, of the small one all twelve.
    activations = {row["model"]: row["activations_gb_a_gpu"] for row in rows}
    assert activations["large"] == pytest.approx(64 * 2048 * 1536 * (11 * 4 + 64) / 1e9)
    assert activations["small"] == pytest.approx(64 * 2048 * 384 * 12 * 64 / 1e9)
    needed = {
        row["model"]: row["state_gb_a_gpu"] + row["buffers_gb_a_gpu"] + row["activations_gb_a_gpu"] for row in rows
    }
    assert max(needed.values()) < 70
    assert "30% of the vendor's bf16 peak" in capsys.readouterr().out


def test_cost_of_an_episode_grows_with_its_ways_and_that_of_a_token_with_the_block(tmp_path):
    main(["--output", str(tmp_path)])
    grown = pd.read_csv(tmp_path / "growth.csv").set_index(["argument", "value"])
    assert grown.loc[("n_way", 64), "token"] == grown.loc[("n_way", 32), "token"]
    assert grown.loc[("n_way", 64), "episode"] == pytest.approx(2 * grown.loc[("n_way", 32), "episode"], rel=0.01)
    assert grown.loc[("block_size", 4096), "episode"] == grown.loc[("block_size", 2048), "episode"]
    assert grown.loc[("block_size", 4096), "token"] > grown.loc[("block_size", 2048), "token"]
    assert (tmp_path / "growth.png").stat().st_size > 10_000


def test_benchmark_gives_the_rate_and_wrong_input_is_an_error(tmp_path):
    measured = {"step, tiny:4x256": {"flops": 4e10, "seconds": {"Pico, fp32": 0.5}}}
    benchmark = tmp_path / "benchmark.json"
    benchmark.write_text(json.dumps({"measured": measured}))
    main(["--output", str(tmp_path / "out"), "--benchmark", str(benchmark)])
    benchmark.write_text("{}")
    with pytest.raises(InputError, match=r"no benchmark\.json with a measured step"):
        main(["--output", str(tmp_path / "out"), "--benchmark", str(benchmark)])
    with pytest.raises(InputError, match="utilisation must be above 0 and at most 1, got 2"):
        main(["--output", str(tmp_path / "out"), "--utilisation", "2"])
