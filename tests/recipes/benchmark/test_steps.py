import pytest

from pico_maml import PicoConfig
from pico_maml.recipes.benchmark.steps import step_flops


def test_flops_are_six_a_weight_and_token_plus_attention():
    config = PicoConfig.from_size("tiny", vocab_size=1000)
    layer = 2 * 96 * 96 + 2 * 96 * 32 + 3 * 96 * 384
    weights = 12 * layer + 1000 * 96
    assert step_flops(config, 512, 128) == pytest.approx(512 * (6 * weights + 6 * 12 * 96 * 128))
