"""Norms and cosines of gradients, with known vectors; their values are tested with the probe of the callbacks."""

import math

import pytest
import torch

from pico_maml.trainers.meta.gradients import norms_and_cosines, under


def test_norms_and_cosine_of_known_vectors():
    gradients = {
        "next_token": {"a": torch.tensor([[3.0, 0]]), "b": torch.tensor([4.0])},
        "query": {"a": torch.tensor([[0, 2.0]]), "b": torch.tensor([-2.0])},
    }
    norms, cosines = norms_and_cosines(gradients)
    assert norms == pytest.approx({"next_token": 5, "query": math.sqrt(8)})
    assert cosines == pytest.approx({("next_token", "query"): -8 / (5 * math.sqrt(8))})
    norms, cosines = norms_and_cosines({**gradients, "query": {"b": torch.tensor([-2.0])}})
    assert norms["query"] == pytest.approx(2)
    assert cosines["next_token", "query"] == pytest.approx(-8 / (5 * 2))
    gradients["query"] = {name: torch.zeros_like(g) for name, g in gradients["query"].items()}
    assert math.isnan(norms_and_cosines(gradients)[1]["next_token", "query"])


def test_gradients_under_a_module_are_those_whose_name_starts_with_it():
    gradients = {name: torch.zeros(1) for name in ("decoder.a", "decoder.b.c", "decoder_2.a", "head.decoder.a")}
    assert set(under("decoder", gradients)) == {"decoder.a", "decoder.b.c"}
