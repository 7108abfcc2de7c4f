"""The loss of each head against a loop over queries and classes."""

import math

import pytest
import torch
from torch.nn import functional as F

from pico_maml.trainers.class_episodes.episode import ClassStates
from pico_maml.trainers.class_episodes.loss import Memory, class_episode_loss
from pico_maml.trainers.meta import InnerLoop, MetaHead

# Words 4, 6, 8 are of side 0, words 3, 5, 7, 9 of side 1, where sides go by the last bit. Class 3 has no word at all.
WORDS = torch.tensor([4, 3, 6, 5, 4, 7, 8, 9, 3])
CLASSES = torch.tensor([0, 0, 1, 1, 0, 2, 1, 1, 0])
C, W = 4, 3


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(len(WORDS), W, generator=torch.Generator().manual_seed(0), requires_grad=True)


def states() -> ClassStates:
    places = torch.arange(len(WORDS))
    return ClassStates(places, places, WORDS, CLASSES)


def unit(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def naive_sums(rows: torch.Tensor, words: torch.Tensor, classes: torch.Tensor) -> dict[tuple[int, int], list[float]]:
    """Sums of unit states by side and class, of those that have any."""
    sums: dict[tuple[int, int], list[float]] = {}
    for row, word, label in zip(rows.tolist(), words.tolist(), classes.tolist(), strict=True):
        old = sums.get((word % 2, label), [0.0] * W)
        sums[word % 2, label] = [a + b for a, b in zip(old, unit(row), strict=True)]
    return sums


def naive_loss(rows, words, classes, prototypes, sides) -> tuple[float, float]:
    """Mean of -log softmax(10 cos) and share of right answers, over queries of `sides` whose class the other has."""
    losses, right = [], []
    for row, word, label in zip(rows.tolist(), words.tolist(), classes.tolist(), strict=True):
        other = {c: unit(p) for (side, c), p in prototypes.items() if side == 1 - word % 2}
        if word % 2 not in sides or label not in other:
            continue
        logits = {c: 10 * sum(a * b for a, b in zip(unit(row), p, strict=True)) for c, p in other.items()}
        losses.append(math.log(sum(math.exp(x) for x in logits.values())) - logits[label])
        right.append(max(logits, key=logits.__getitem__) == label)
    return sum(losses) / len(losses), sum(right) / len(right)


def run(episode, features, algorithm="protonet", memory=None, head=None, **inner):
    """Loss, accuracy and new memory; features are given in the order of the text."""
    head = head or MetaHead(W, C, layers=1, dropout=0.0, projection=0)
    loss, metrics, sums = class_episode_loss(
        head, InnerLoop(algorithm, **inner), episode, features[episode.rows], memory
    )
    total, count = metrics["query_accuracy"]
    assert count == episode.queries == int(episode.asked.sum())
    return loss, float(total) / count, sums


def drawn_head() -> MetaHead:
    head = MetaHead(W, C, layers=1, dropout=0.0, projection=0)
    torch.nn.init.normal_(head.layers[0].weight, generator=torch.Generator().manual_seed(1))
    torch.nn.init.zeros_(head.layers[0].bias)
    return head


def test_prototypes_of_the_batch_equal_a_loop(features):
    side = states().halves()
    both = states().present(side, C).all(0)
    episode = states().divide(side, both.expand(2, -1), both=False)
    loss, accuracy, memory = run(episode, features)
    # Class 2 is on one side alone: it is neither asked for nor an answer.
    prototypes = {key: v for key, v in naive_sums(features, WORDS, CLASSES).items() if key[1] in (0, 1)}
    expected = naive_loss(features, WORDS, CLASSES, prototypes, sides=(1,))
    assert (loss.item(), accuracy) == pytest.approx(expected, abs=1e-5)
    assert memory is None
    loss.backward()
    assert (features.grad.norm(dim=1) > 0).tolist() == (CLASSES != 2).tolist(), "through queries and support alike"


def test_prototypes_from_a_memory_equal_a_loop_over_three_episodes(features):
    seen, memory = torch.zeros(2, C, dtype=torch.bool), Memory(torch.zeros(2, C, W), 0.9)
    sums: dict[tuple[int, int], list[float]] = {}
    for i in range(3):
        rows, chosen = features.roll(i, 0) + i, torch.arange(len(WORDS)) % 3 != i
        part = ClassStates(*(t[chosen] for t in (torch.arange(len(WORDS)), WORDS, WORDS, CLASSES)))
        side = part.halves()
        seen |= part.present(side, C)
        episode = part.divide(side, seen.flip(0), both=True)
        loss, accuracy, new = run(episode, rows, memory=memory)
        now = naive_sums(rows[chosen], WORDS[chosen], CLASSES[chosen])
        sums = {
            key: [0.9 * a + b for a, b in zip(sums.get(key, [0.0] * W), now.get(key, [0.0] * W), strict=True)]
            for key in sums.keys() | now.keys()
        }
        expected = naive_loss(rows[chosen], WORDS[chosen], CLASSES[chosen], sums, sides=(0, 1))
        assert (loss.item(), accuracy) == pytest.approx(expected, abs=1e-5)
        memory = Memory(new, 0.9)
        assert not new.requires_grad
        for (side_number, label), values in sums.items():
            assert new[side_number, label].tolist() == pytest.approx(values, abs=1e-5)
    assert not new[:, 3].any()


def test_states_that_are_not_finite_do_not_spoil_the_memory(features):
    side = states().halves()
    memory = Memory(torch.rand(2, C, W), 0.9)
    episode = states().divide(side, torch.ones(2, C, dtype=torch.bool), both=True)
    loss, _, sums = run(episode, features.detach() * float("nan"), memory=memory)
    assert loss.isnan()
    assert torch.equal(sums, memory.sums)


def test_head_only_maml_equals_a_loop(features):
    head = drawn_head()
    side = states().halves()
    episode = states().divide(side, torch.ones(2, C, dtype=torch.bool), both=False)
    loss, _, _ = run(episode, features, "maml", head=head, steps=3, lr=0.2)

    weight, bias = head.layers[0].weight.detach().clone(), torch.zeros(C)
    support, labels = features.detach()[~side], CLASSES[~side]
    for _ in range(3):
        error = (support @ weight.T + bias).softmax(-1) - F.one_hot(labels, C)
        weight, bias = weight - 0.2 * error.T @ support / len(support), bias - 0.2 * error.mean(0)
    logits = (features[side] @ weight.T + bias).log_softmax(-1)
    expected = -logits[torch.arange(len(logits)), CLASSES[side]].mean()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)

    loss.backward()
    assert not features.grad[~side].any(), "first order: none through the support"
    expected_gradient = ((features[side] @ weight.T + bias).softmax(-1) - F.one_hot(CLASSES[side], C)).T @ features[
        side
    ]
    torch.testing.assert_close(head.layers[0].weight.grad, expected_gradient.detach() / int(side.sum()))


def test_direct_is_the_cross_entropy_of_every_state(features):
    head = drawn_head()
    side = torch.ones(len(WORDS), dtype=torch.bool)
    episode = states().divide(side, torch.ones(2, C, dtype=torch.bool), both=False)
    loss, _, _ = run(episode, features, "direct", head=head)
    assert episode.queries == len(WORDS)
    torch.testing.assert_close(loss, F.cross_entropy(features @ head.layers[0].weight.T, CLASSES))
