"""Measures that a user names, and those that are shipped for it."""

import math

import pytest
import torch

from pico_maml.callbacks.measures import attention_values, parse_measure
from pico_maml.callbacks.measures.conditioning import condition_number, stable_rank
from pico_maml.callbacks.measures.pwcca import pwcca
from pico_maml.callbacks.measures.sparsity import gini, hoyer
from pico_maml.trainers import InputError


def test_gini_and_hoyer_of_equal_single_and_unequal_entries():
    equal, single = torch.tensor([[2.0, -2.0], [-2.0, 2.0]]), torch.tensor([[0.0, 0.0], [-5.0, 0.0]])
    assert (gini(equal), hoyer(equal)) == pytest.approx((0, 0))
    assert (gini(single), hoyer(single)) == pytest.approx((1 - 1 / 4, 1))
    # Half of the mean absolute difference of all pairs, divided by the mean.
    sizes = torch.tensor([1.0, 2, 3, 7, 11, 4])
    pairs = (sizes[:, None] - sizes).abs().mean() / sizes.mean() / 2
    assert gini(-sizes.reshape(2, 3)) == pytest.approx(pairs.item())
    assert hoyer(torch.tensor([[3.0, 4.0]])) == pytest.approx((2**0.5 - 7 / 5) / (2**0.5 - 1))
    assert math.isnan(gini(torch.zeros(2, 2)))
    assert math.isnan(hoyer(torch.zeros(2, 2)))


def test_condition_number_and_stable_rank_of_known_singular_values():
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(5, 5, generator=generator).double()).Q for _ in range(2))
    matrix = left[:, :3] * torch.tensor([8.0, 4.0, 2.0]) @ right[:3]
    assert condition_number(left * torch.tensor([8.0, 4, 2, 1, 0.5])) == pytest.approx(16)
    assert stable_rank(matrix) == pytest.approx((64 + 16 + 4) / 64)
    assert math.isinf(condition_number(torch.diag(torch.tensor([1.0, 0.0]))))
    assert math.isnan(stable_rank(torch.zeros(2, 2)))


def test_pwcca_is_the_mean_of_canonical_correlations_weighted_by_what_they_explain():
    generator = torch.Generator().manual_seed(0)
    columns = torch.randn(100, 4, generator=generator).double()
    u = torch.linalg.qr(columns - columns.mean(0)).Q  # centred and orthonormal
    # Canonical variables u0 and u1 of x explain 3 and 1; their correlations with y are 1 and 0.6.
    x, y = u[:, :2] * torch.tensor([3.0, 1.0]), torch.stack([u[:, 0], 0.6 * u[:, 1] + 0.8 * u[:, 2]], 1)
    assert pwcca(x, y) == pytest.approx((3 * 1 + 1 * 0.6) / 4)
    assert pwcca(x, y @ torch.tensor([[2.0, 1.0], [0.0, 3.0]]).double() + 7) == pytest.approx(0.9)
    assert pwcca(u[:, :2], u[:, 2:]) == pytest.approx(0, abs=1e-12)
    assert math.isnan(pwcca(x, torch.ones(100, 2)))


@pytest.mark.parametrize("max_scores", [2**24, 500])
def test_functions_of_attention_see_the_whole_map_of_each_head(model, max_scores):
    ids = torch.randint(3, 200, (3, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for weights in (p for name, p in model.named_parameters() if "q_proj" in name or "k_proj" in name):
            weights.mul_(20)
    values = attention_values(model, ids, [gini, lambda head: float(head[5, 2])], max_scores)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        attentions = model.eval()(ids, output_attentions=True).attentions
    for layer, attention in enumerate(attentions):
        expected = [[gini(head) for head in row] for row in attention]
        assert values[layer][0].tolist() == pytest.approx(torch.tensor(expected).mean(0).tolist(), rel=1e-4)
        assert values[layer][1].tolist() == pytest.approx(attention[:, :, 5, 2].mean(0).tolist(), rel=1e-4)


def test_a_function_of_one_matrix_is_of_weights_gradients_and_activations_unless_a_place_is_named():
    assert parse_measure("gini").places == ("weights", "gradients", "activations")
    assert parse_measure("attention=gini").places == ("attention",)
    assert parse_measure("pwcca").places == ("similarity",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ginni", "'ginni' is none of condition_number, gini"),
        ("no.such:f", "cannot load 'no.such:f', ModuleNotFoundError"),
        ("math:no_such", "cannot load 'math:no_such', KeyError"),
        ("math:pi", "cannot load 'math:pi', TypeError"),
        ("operator:setitem", "takes 3 arguments"),
        ("elsewhere=gini", "of weights, gradients, activations, attention, not of 'elsewhere'"),
        ("weights=pwcca", "of similarity, not of 'weights'"),
    ],
)
def test_a_measure_that_cannot_be_taken_is_named(text, message):
    with pytest.raises(InputError, match=message):
        parse_measure(text)


def test_a_function_that_makes_no_number_is_an_error_before_training_and_a_gap_within(caplog):
    measure = parse_measure("weights=math:sqrt")
    with pytest.raises(InputError, match="sqrt makes no number"):
        measure.check()
    assert all(math.isnan(measure(torch.ones(2, 2))) for _ in range(2))
    assert sum("measure sqrt failed" in record.getMessage() for record in caplog.records) == 1
