"""The fixed class episode of which gradients are measured beside training."""

import pytest
import torch
from class_run import HEADS, class_trainer
from safetensors.torch import load, save

from pico_maml.callbacks.measures import GradientProbe
from pico_maml.recipes.arguments.dynamics import objective_of
from pico_maml.trainers.class_episodes.loss import Memory


@pytest.fixture(params=HEADS)
def head(request) -> str:
    return request.param


@pytest.mark.parametrize("layer", [0, 1])
def test_the_probed_loss_is_that_of_training_with_an_empty_memory(head, layer, model, blocks, tokenizer, tmp_path):
    run = class_trainer(model, blocks, tokenizer, tmp_path, head, class_layer=layer)
    held_out = torch.as_tensor(blocks["input_ids"][-40:]).long()
    objective = objective_of(run)
    (probed,) = objective.draw(32, held_out[:, :-1])
    assert probed.ids.numel() >= 4 * 32
    assert set(probed.episode.words.tolist()) <= set(run.source.classes.split("form", 0.2)[0].numbers.tolist())
    memory = Memory(torch.zeros(2, 4, 16), 0.5) if head == "memory" else None
    inputs = {"episode": probed.episode, "inner": objective.inner, "memory": memory, "class_layer": layer}
    expected = run.model(probed.ids, **inputs).loss
    torch.testing.assert_close(probed.loss(run.model, objective.inner, 0.25), 0.25 * expected)


def test_a_probe_of_a_checkpoint_gives_the_same_losses(head, model, blocks, tokenizer, tmp_path):
    run = class_trainer(model, blocks, tokenizer, tmp_path, head)
    held_out = torch.as_tensor(blocks["input_ids"][-40:]).long()
    objective = objective_of(run)
    probe = GradientProbe(held_out[:3], objective.draw(32, held_out[:, :-1]))
    restored = GradientProbe.from_tensors(load(save(probe.tensors())))
    losses, again = (
        [sum(f(run.model) for f in own) for own in p.losses(objective.inner).values()] for p in (probe, restored)
    )
    assert len(losses) == 2
    assert losses == again
