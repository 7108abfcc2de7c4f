import copy

import pytest
import torch
from torch.nn import functional as F

from pico_maml.trainers import MetaHead, adapt_head
from pico_maml.trainers.meta.episode_loss import InnerLoop, episode_loss
from pico_maml.trainers.meta.inner_loop import prototypes


def test_metrics_are_those_of_the_head_before_and_after_the_inner_loop_without_dropout():
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 8, generator=generator)
    labels, query_labels = torch.arange(4).repeat(6), torch.randint(4, (40,), generator=generator)
    support, query = (
        centres[rows] + 0.7 * torch.randn(len(rows), 8, generator=generator) for rows in (labels, query_labels)
    )
    torch.manual_seed(0)
    head = MetaHead(8, 4, layers=2, hidden_dim=12, dropout=0.5)
    loss, metrics = episode_loss(
        head, InnerLoop("maml", 5, 0.3), support, labels, query, query_labels, torch.Generator().manual_seed(1)
    )

    dropout = torch.Generator().manual_seed(1)
    adapted = copy.deepcopy(head)
    adapted.load_state_dict(adapt_head(head, support, labels, 5, 0.3, dropout))
    expected_loss = F.cross_entropy(adapted(query, dropout), query_labels)
    torch.testing.assert_close(loss, expected_loss)

    def accuracy(logits: torch.Tensor, targets: torch.Tensor) -> float:
        return (logits.argmax(1) == targets).float().mean().item()

    distances = (query[:, None] - prototypes(support, labels, 4)).norm(dim=-1)
    expected = {
        "query_loss": expected_loss.item(),
        "query_accuracy_before": accuracy(head(query), query_labels),
        "query_accuracy": accuracy(adapted(query), query_labels),
        "support_accuracy": accuracy(adapted(support), labels),
        "prototype_accuracy": accuracy(-distances, query_labels),
        "class_0_share": (query_labels == 0).float().mean().item(),
        "support_class_0_share": 1 / 4,
        "head_weight_norm_adapted": sum(p.square().sum() for p in adapted.parameters() if p.ndim > 1).sqrt().item(),
    }
    expected["adaptation_gain"] = expected["query_accuracy"] - expected["query_accuracy_before"]
    assert {name: float(total) / count for name, (total, count) in metrics.items()} == pytest.approx(expected)
    # The case tells these apart.
    dropped = accuracy(adapted(query, torch.Generator().manual_seed(2)), query_labels)
    assert len({*(round(expected[f"{name}_accuracy"], 6) for name in ("query", "support", "prototype")), dropped}) == 4
    assert expected["adaptation_gain"] > 0.2
    assert accuracy(head(support), labels) != expected["support_accuracy"]
