import math

import numpy as np
import pytest
import torch

from pico_maml.callbacks.measures import linear_cka


def by_definition(x, y) -> float:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with centred linear kernels, in float64."""
    n = len(x)
    h = np.eye(n) - 1 / n
    k, l = (h @ (a.double().numpy() @ a.double().numpy().T) @ h for a in (x, y))  # noqa: E741
    return (k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum())


@pytest.mark.parametrize("shape", [(40, 8, 12), (10, 30, 16), (10, 4, 30), (512, 96, 96)])
def test_cka_equals_its_definition(shape):
    generator = torch.Generator().manual_seed(0)
    n, p, q = shape
    x = torch.randn(n, p, generator=generator) + 3
    y = torch.randn(n, q, generator=generator)
    y[:, : min(p, q)] += x[:, : min(p, q)]
    assert linear_cka(x, y) == pytest.approx(by_definition(x, y), rel=1e-10)
    assert linear_cka(x, y) == pytest.approx(linear_cka(y, x))


def test_cka_is_invariant_to_rotation_and_scale_and_has_known_values():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(200, 6, generator=generator).double()
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator).double()).Q
    assert linear_cka(x, x) == pytest.approx(1)
    assert linear_cka(x, -7 * x @ rotation + 5) == pytest.approx(1)
    centred = torch.linalg.qr(x - x.mean(0)).Q
    # Orthogonal sides give 0, half of the same orthonormal columns 2 / sqrt(2 * 4).
    assert linear_cka(centred[:, :3], centred[:, 3:]) == pytest.approx(0, abs=1e-12)
    assert linear_cka(centred[:, :2], centred[:, :4]) == pytest.approx(2 / math.sqrt(8))


def test_cka_without_variation_is_nan():
    x = torch.randn(9, 4)
    assert math.isnan(linear_cka(torch.ones(9, 4), x))
    assert math.isnan(linear_cka(x, torch.full((9, 4), math.nan)))
    assert math.isnan(linear_cka(x[:1], x[:1]))
