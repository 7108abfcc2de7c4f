import json
from pathlib import Path

import counted_collectives
import forked
import pytest

from pico_maml import PicoConfig
from pico_maml.recipes.scale.fsdp import Units

CONFIGURATION = Path(__file__).parents[3] / "recipes" / "configs" / "accelerate" / "fsdp2.yaml"


@pytest.fixture
def config():
    head = {"ways": 4, "layers": 2, "hidden_dim": 16, "dropout": 0.1}
    shape = {"d_model": 64, "n_layers": 3, "attention_n_heads": 4, "attention_n_kv_heads": 2}
    return PicoConfig(**shape, activation_hidden_dim=96, vocab_size=100, max_seq_len=64, meta_head=head)


def test_fsdp2_gathers_and_scatters_what_the_formula_says(config, tmp_path):
    config.save_pretrained(tmp_path)
    forked.run(counted_collectives.main, tmp_path, CONFIGURATION, log=tmp_path / "log", processes=2)
    units = Units.of(config)
    encodings = {"next_token": 1, "episode": 2, "exact_episode": 1}
    log = json.loads((tmp_path / "collectives.json").read_text())
    assert [kind for kind, *_ in log] == ["next_token", "episode", "exact_episode", "next_token", "episode"]
    for kind, gathers, _, _ in log:
        assert sorted(gathers) == sorted(units.gathers(encodings[kind])), kind
    # 3 layers: embedding, layers and two held units; a layer is fetched in vain behind an episode's backward pass.
    assert [len(gathers) for _, gathers, _, _ in log] == [10, 15, 10, 10, 15]

    *early, last = log
    assert [scatters for _, _, scatters, _ in early] == [[]] * 4, "only the last micro-batch scatters gradients"
    assert sorted(last[2]) == sorted(units.scatters())
    # Until then gradients are whole on every process: all but those of the episodes' head, which comes second.
    whole = [elements for *_, elements in log]
    assert whole == [sum(units.scatters()) - units.head, *[sum(units.scatters())] * 3, 0]


def test_units_hold_every_weight(config):
    units = Units.of(config)
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96 + 2 * 64
    assert units == Units(6400, [layer] * 3, 6400 + 64, 64 * 16 + 16 + 16 * 4 + 4)
    assert units.held() == 6464 + 1108 + 2 * layer
