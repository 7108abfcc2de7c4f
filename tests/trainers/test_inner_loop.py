import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from pico_maml.trainers import adapt_head
from pico_maml.trainers.inner_loop import MetaHead, first_order, prototype_logits


def task(seed: int, d_model: int = 6, ways: int = 3):
    generator = torch.Generator().manual_seed(seed)
    support, query = (torch.randn(rows, d_model, generator=generator, dtype=torch.float64) for rows in (12, 5))
    labels = (torch.randint(ways, (rows,), generator=generator) for rows in (12, 5))
    torch.manual_seed(seed)
    return MetaHead(d_model, ways, layers=3, hidden_dim=8).double(), support, query, *labels


def slow_fomaml(head, support, support_labels, query, query_labels, steps, lr):
    """FOMAML by the book: a deep copy, explicit SGD steps, and the copy's query gradients added by hand."""
    adapted = copy.deepcopy(head)
    optimizer = torch.optim.SGD(adapted.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(adapted(support.detach()), support_labels).backward()
        optimizer.step()
    optimizer.zero_grad()
    loss = F.cross_entropy(adapted(query), query_labels)
    loss.backward()
    for target, source in zip(head.parameters(), adapted.parameters(), strict=True):
        target.grad = source.grad.clone()
    return loss


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_gradient_is_that_of_an_explicit_reference(steps):
    head, support, query, support_labels, query_labels = task(0)
    features = query.clone().requires_grad_()
    fast = adapt_head(head, support, support_labels, steps, lr=0.5)
    loss = F.cross_entropy(functional_call(head, first_order(head, fast), (features,)), query_labels)
    loss.backward()

    reference = copy.deepcopy(head)
    by_hand = query.clone().requires_grad_()
    expected = slow_fomaml(reference, support, support_labels, by_hand, query_labels, steps, lr=0.5)
    torch.testing.assert_close(loss, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(features.grad, by_hand.grad, atol=1e-12, rtol=0)
    for got, wanted in zip(head.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(got.grad, wanted.grad, atol=1e-12, rtol=0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), lr=st.floats(1e-3, 0.3))
def test_inner_steps_lower_the_support_loss_and_leave_the_head_alone(seed, lr):
    head, support, _, labels, _ = task(seed)
    before = {name: p.clone() for name, p in head.named_parameters()}
    losses = [
        F.cross_entropy(functional_call(head, adapt_head(head, support, labels, steps, lr), (support,)), labels).item()
        for steps in (0, 20)
    ]
    assert losses[1] < losses[0]
    assert all(torch.equal(before[name], p) and p.grad is None for name, p in head.named_parameters())


def test_features_of_the_support_set_get_no_gradient():
    head, support, _, labels, _ = task(1)
    support.requires_grad_()
    assert not any(w.requires_grad for w in adapt_head(head, support, labels, 2, 0.1).values())
    assert support.grad is None


def test_works_without_gradients_switched_on():
    head, support, _, labels, _ = task(1)
    with torch.no_grad():
        quiet = adapt_head(head, support, labels, 3, 0.1)
    loud = adapt_head(head, support, labels, 3, 0.1)
    assert all(torch.equal(quiet[name], loud[name]) for name in loud)


def test_dropout_comes_from_the_generator_alone():
    head = MetaHead(6, 3, layers=2, hidden_dim=64, dropout=0.5)
    x = torch.randn(4, 6)
    state = torch.get_rng_state()
    one, same, other = (head(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(head(x), head(x))
    assert torch.equal(torch.get_rng_state(), state), "the global generator is left alone"


def test_dropout_keeps_the_expected_activation():
    head = MetaHead(4, 2, layers=2, hidden_dim=4000, dropout=0.25)
    nn.init.ones_(head.layers[0].weight)
    nn.init.constant_(head.layers[1].weight, 1 / 4000)
    x = torch.ones(1, 4)
    dropped = head(x, torch.Generator().manual_seed(0))
    torch.testing.assert_close(dropped, head(x), rtol=0.05, atol=0)


def test_head_has_the_layers_of_table_10():
    head = MetaHead(96, 32)
    assert [tuple(layer.weight.shape) for layer in head.layers] == [(128, 96), (128, 128), (128, 128), (32, 128)]


def test_prototypes_are_class_means():
    support = torch.tensor([[0.0, 0.0], [2.0, 0.0], [10.0, 10.0], [12.0, 10.0]])
    logits = prototype_logits(torch.tensor([[1.0, 1.0], [11.0, 10.0]]), support, torch.tensor([0, 0, 1, 1]), 2)
    torch.testing.assert_close(logits[0], -torch.tensor([1.0, (10**2 + 9**2) ** 0.5]))
    assert logits.argmax(-1).tolist() == [0, 1]
