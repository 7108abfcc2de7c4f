import math

import numpy as np
import pytest
import torch

from pico_maml.callbacks.measures import (
    effective_rank,
    ov_singular_values,
    proportional_effective_rank,
    singular_values,
)
from pico_maml.modeling_pico import PICO_SIZES, PicoConfig


def rank(matrix) -> float:
    return effective_rank(singular_values(matrix))


def in_numpy(matrix) -> float:
    """exp(H) in float64 with numpy."""
    values = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
    p = values / values.sum()
    p = p[p > 0]
    return math.exp(-(p * np.log(p)).sum())


def test_effective_rank_of_known_matrices():
    generator = torch.Generator().manual_seed(0)
    assert rank(torch.eye(7)) == pytest.approx(7)
    assert rank(torch.outer(torch.arange(1.0, 6), torch.arange(1.0, 9))) == pytest.approx(1, abs=1e-4)
    orthogonal = torch.linalg.qr(torch.randn(20, 20, generator=generator)).Q
    assert rank(3 * orthogonal) == pytest.approx(20, rel=1e-5)
    assert rank(orthogonal[:, :5]) == pytest.approx(5, rel=1e-5)
    # Two singular values, 3 and 1: H = log 4 - 3/4 log 3.
    assert rank(torch.diag(torch.tensor([3.0, 1.0]))) == pytest.approx(4 / 3**0.75, rel=1e-6)
    assert proportional_effective_rank(singular_values(torch.eye(4)[:2])) == pytest.approx(1)
    assert proportional_effective_rank(torch.tensor([5.0, 0, 0, 0])) == pytest.approx(0.25)


def test_effective_rank_of_degenerate_matrices():
    assert rank(torch.zeros(3, 5)) == 0
    assert rank(torch.ones(1, 5)) == pytest.approx(1)
    assert proportional_effective_rank(singular_values(torch.zeros(3, 5))) == 0
    for bad in (math.nan, math.inf):
        matrix = torch.eye(3)
        matrix[0, 1] = bad
        assert singular_values(matrix).isnan().all()
        assert math.isnan(rank(matrix))
    assert math.isnan(rank(torch.zeros(0, 5)))
    assert math.isnan(proportional_effective_rank(torch.zeros(0)))
    assert rank(1e-30 * torch.eye(3)) == pytest.approx(3, rel=1e-5)


@pytest.mark.parametrize("size", sorted(PICO_SIZES))
def test_ranks_in_fp32_agree_with_float64_for_all_shapes_in_use(size):
    config = PicoConfig.from_size(size)
    kv = config.d_model // config.attention_n_heads * config.attention_n_kv_heads
    shapes = [(kv, config.d_model), (config.d_model, config.d_model), (config.d_model, config.activation_hidden_dim)]
    generator = torch.Generator().manual_seed(1)
    for shape in [*shapes, (512, kv), (512, config.d_model)]:  # weights, and activations of 512 tokens
        if math.prod(shape) > 1024 * 1024:
            continue  # these take seconds in float64
        matrix = torch.randn(shape, generator=generator) * torch.rand(shape[1], generator=generator) ** 4
        assert rank(matrix) == pytest.approx(in_numpy(matrix), rel=2e-6), shape
        assert rank(matrix.bfloat16()) == pytest.approx(in_numpy(matrix.bfloat16()), rel=2e-6), shape


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (4, 2), (3, 1)])
def test_ov_circuits_are_products_of_a_heads_slices(heads, groups):
    generator = torch.Generator().manual_seed(2)
    size = 5
    output = torch.randn(24, heads * size, generator=generator)
    value = torch.randn(groups * size, 24, generator=generator)
    spectra = ov_singular_values(output, value, heads)
    assert len(spectra) == heads
    for head, singular in enumerate(spectra):
        group = head // (heads // groups)
        write, read = output[:, head * size : (head + 1) * size], value[group * size : (group + 1) * size]
        expected = torch.linalg.svdvals((write @ read).double())
        assert expected[size:].max() < 1e-5
        torch.testing.assert_close(singular.double(), expected[:size], rtol=1e-4, atol=1e-5)
    output[0, 0] = math.nan
    assert [bool(singular.isnan().all()) for singular in ov_singular_values(output, value, heads)] == [True] + [
        False
    ] * (heads - 1)
