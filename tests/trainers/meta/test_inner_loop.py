import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from pico_maml.trainers import adapt_head
from pico_maml.trainers.meta.episode_loss import ALGORITHMS, InnerLoop, episode_loss
from pico_maml.trainers.meta.inner_loop import MetaHead, prototype_logits, prototype_start, prototypes


def task(seed: int, d_model: int = 6, ways: int = 3):
    generator = torch.Generator().manual_seed(seed)
    support, query = (torch.randn(rows, d_model, generator=generator, dtype=torch.float64) for rows in (12, 5))
    labels = (torch.randint(ways, (rows,), generator=generator) for rows in (12, 5))
    torch.manual_seed(seed)
    return MetaHead(d_model, ways, layers=3, hidden_dim=8).double(), support, query, *labels


def slow_fomaml(head, support, support_labels, query, query_labels, steps, lr):
    """FOMAML by its definition: adapt a deep copy with SGD and copy its query gradients to the head."""
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
def test_first_order_gradient_equals_that_of_an_explicit_reference(steps):
    head, support, query, support_labels, query_labels = task(0)
    features = query.clone().requires_grad_()
    fast = adapt_head(head, support, support_labels, steps, lr=0.5)
    loss = F.cross_entropy(functional_call(head, fast, (features,)), query_labels)
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


def test_first_order_gives_the_support_features_no_gradient():
    head, support, query, labels, query_labels = task(1)
    support.requires_grad_()
    fast = adapt_head(head, support, labels, 2, 0.1)
    F.cross_entropy(functional_call(head, fast, (query,)), query_labels).backward()
    assert support.grad is None


def outer_loss(head, support, support_labels, query, query_labels, algorithm="maml", steps=3):
    """The query loss after exact second-order adaptation, as a function of everything it depends on."""
    inner = InnerLoop(algorithm, steps, 0.5, first_order=False)
    return episode_loss(head, inner, support, support_labels, query, query_labels, None)[0]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("learned", [0, 3])
def test_second_order_gradient_equals_finite_differences(algorithm, learned):
    _, support, query, labels, query_labels = task(2)
    torch.manual_seed(2)
    head = MetaHead(6, 3, layers=2, hidden_dim=8, learned_lr_steps=learned, inner_lr=0.4).double()
    # Off the kinks of ReLU: a finite step must not cross one.
    inputs = [support.requires_grad_(), query.requires_grad_(), *head.parameters()]

    def loss():
        return outer_loss(head, support, labels, query, query_labels, algorithm)

    gradients = torch.autograd.grad(loss(), inputs, allow_unused=True)
    generator = torch.Generator().manual_seed(0)
    for tensor, gradient in zip(inputs, gradients, strict=True):
        gradient = torch.zeros_like(tensor) if gradient is None else gradient
        direction = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            moved = []
            for sign in (1, -1):
                tensor += sign * 1e-6 * direction
                moved.append(loss().item())
                tensor -= sign * 1e-6 * direction
        assert (moved[0] - moved[1]) / 2e-6 == pytest.approx((gradient * direction).sum().item(), rel=1e-5, abs=1e-8)


def test_second_order_differs_from_first_order_through_the_support_set():
    head, support, query, labels, query_labels = task(3)
    support.requires_grad_()
    outer_loss(head, support, labels, query, query_labels).backward()
    assert support.grad.abs().sum() > 0
    exact = [p.grad.clone() for p in head.parameters()]
    head.zero_grad()
    fast = adapt_head(head, support, labels, 3, 0.5)
    F.cross_entropy(functional_call(head, fast, (query,)), query_labels).backward()
    assert any(not torch.allclose(p.grad, q, rtol=1e-2) for p, q in zip(head.parameters(), exact, strict=True))


def test_learned_rates_start_as_the_fixed_one_and_get_a_gradient():
    head, support, query, labels, query_labels = task(4)
    torch.manual_seed(4)
    learning = MetaHead(6, 3, layers=3, hidden_dim=8, learned_lr_steps=5, inner_lr=0.5).double()
    learning.load_state_dict(head.state_dict(), strict=False)
    fixed = adapt_head(head, support, labels, 5, 0.5)
    fast = adapt_head(learning, support, labels, 5, learning.learning_rates(0.1))
    for name in fixed:
        torch.testing.assert_close(fast[name], fixed[name])
    F.cross_entropy(functional_call(learning, fast, (query,)), query_labels).backward()
    assert learning.log_inner_lr.grad.shape == (5, 3)
    assert (learning.log_inner_lr.grad != 0).all(), "first order too: phi_T depends on each rate directly"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), layers=st.integers(1, 3))
def test_the_prototype_start_equals_a_prototypical_network(seed, layers):
    _, support, query, labels, _ = task(seed)
    labels = torch.arange(3).repeat(4)
    torch.manual_seed(seed)
    head = MetaHead(6, 3, layers=layers, hidden_dim=8).double()
    logits = functional_call(head, prototype_start(head, support, labels), (query,))
    hidden, width = head.hidden(query), head.hidden(support).shape[1]
    distance = torch.cdist(hidden, prototypes(head.hidden(support), labels, 3)).square() / width**0.5
    torch.testing.assert_close(logits.log_softmax(-1), (-distance).log_softmax(-1))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_head_in_half_precision_is_adapted_in_full(algorithm):
    # FSDP's mixed precision and checkpoints saved in bf16 have such heads.
    head, support, query, labels, query_labels = task(5)
    head = head.bfloat16()
    inner = InnerLoop(algorithm, steps=5, lr=0.1)
    features = query.float().requires_grad_()
    got = episode_loss(head, inner, support.float(), labels, features, query_labels, None)[0]
    got.backward()
    in_full = copy.deepcopy(head).float()
    expected = episode_loss(in_full, inner, support.float(), labels, query.float(), query_labels, None)[0]
    torch.testing.assert_close(got, expected)
    assert features.grad is not None


def test_adapting_under_no_grad_gives_the_same_weights():
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
