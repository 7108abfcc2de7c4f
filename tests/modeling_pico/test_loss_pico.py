import pytest
import torch
from torch.nn import functional as F

from pico_maml.modeling_pico.loss_pico import HALF_CHUNK, half_chunk_rows, next_token_loss, next_token_loss_by_row

ROWS, WIDTH, VOCABULARY = HALF_CHUNK + 70, 24, 900


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.nn.Linear, torch.Tensor]:
    """Hidden states, a head and targets, of which some are -100; more rows than one chunk."""
    generator = torch.Generator().manual_seed(0)
    head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)
    torch.nn.init.normal_(head.weight, std=0.3, generator=generator)
    targets = torch.randint(VOCABULARY, (2, ROWS // 2), generator=generator)
    targets[:, ::7] = -100
    return torch.randn(2, ROWS // 2, WIDTH, generator=generator), head, targets


def gradients(loss, hidden, weight):
    return torch.autograd.grad(loss, (hidden, weight))


@pytest.mark.parametrize(
    ("dtype", "weights", "tolerance"),
    [(None, torch.float32, 1e-6), (torch.bfloat16, torch.float32, 1e-2), (None, torch.bfloat16, 1e-2)],
    ids=["fp32", "bf16 autocast", "bf16 weights"],
)
def test_loss_and_gradients_equal_those_of_the_logits(case, dtype, weights, tolerance):
    hidden, head, targets = case
    exact_hidden, exact_weight = hidden.double().requires_grad_(), head.weight.detach().double().requires_grad_()
    exact = F.cross_entropy((exact_hidden @ exact_weight.T).flatten(0, 1), targets.flatten())
    head, hidden = head.to(weights), hidden.clone().to(weights).requires_grad_()
    with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
        loss = next_token_loss(hidden, head, targets)
    assert loss.dtype is torch.float32
    # In half precision each logit is rounded its own way; their mean, the loss, keeps more digits than bf16 has.
    assert loss.item() == pytest.approx(exact.item(), rel=min(tolerance, 1e-3))
    wanted = gradients(exact, exact_hidden, exact_weight)
    for got, reference in zip(gradients(3 * loss, hidden, head.weight), wanted, strict=True):
        assert got.dtype is weights
        assert (got.double() / 3 - reference).norm() < tolerance * reference.norm()


def test_without_targets_loss_and_gradient_are_zero(case):
    hidden, head, targets = case
    hidden = hidden.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = next_token_loss(hidden, head, torch.full_like(targets, -100))
    assert loss.item() == 0
    assert all(not gradient.any() for gradient in gradients(loss, hidden, head.weight))


def test_the_number_of_items_divides_the_sum(case):
    hidden, head, targets = case
    count = int(targets.ne(-100).sum())
    mean = next_token_loss(hidden, head, targets)
    assert next_token_loss(hidden, head, targets, 2 * count).item() == pytest.approx(mean.item() / 2)
    assert next_token_loss(hidden, head, targets, torch.tensor(count)).item() == pytest.approx(mean.item())


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["fp32", "bf16 autocast"])
def test_loss_by_row_is_the_same_loss_and_gradient_with_the_mean_of_each_row(case, dtype):
    hidden, head, targets = case
    hidden, targets = hidden.requires_grad_(), targets.clamp(min=0)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
        loss, rows = next_token_loss_by_row(hidden, head, targets)
        expected = next_token_loss(hidden, head, targets)
        alone = [next_token_loss(hidden[i : i + 1], head, targets[i : i + 1]).item() for i in range(2)]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert rows.tolist() == pytest.approx(alone, rel=1e-3 if dtype else 1e-6)
    assert alone[0] != pytest.approx(alone[1], rel=1e-3)
    assert not rows.requires_grad
    for got, reference in zip(*(gradients(it, hidden, head.weight) for it in (loss, expected)), strict=True):
        torch.testing.assert_close(got, reference, atol=1e-6, rtol=1e-4)


def test_half_precision_loss_compiles_into_one_graph(case):
    hidden, head, targets = case
    with torch.autocast("cpu", dtype=torch.bfloat16):
        compiled = torch.compile(next_token_loss, fullgraph=True, backend="eager")(hidden, head, targets)
        assert compiled.item() == pytest.approx(next_token_loss(hidden, head, targets).item(), rel=1e-6)


def test_a_gpu_holds_as_many_logits_as_its_share_of_memory_allows():
    gpu = torch.device("cuda")
    assert half_chunk_rows(50304, torch.device("cpu")) == 512
    assert half_chunk_rows(50304, gpu) == 2048
    assert half_chunk_rows(4096, gpu) == 32768
    assert half_chunk_rows(10_000_000, gpu) == 512
