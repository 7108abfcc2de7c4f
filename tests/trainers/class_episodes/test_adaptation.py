"""How well the head tells classes: right values where the answer is known."""

import pytest
import torch
from class_run import HEADS, WORDS, class_trainer, word_classes

from pico_maml.trainers.class_episodes.adaptation import class_accuracies, class_table

LEARNING = {"max_steps": 30, "logging_steps": 30, "learning_rate": 1e-2, "query_loss_weight": 0.2}


@pytest.fixture(params=HEADS)
def trained(request, model, blocks, tokenizer, tmp_path):
    """A head that has learnt its classes, and its accuracies by group."""
    changes = LEARNING | {"held_out_classes": 0.2}  # one of the four
    run = class_trainer(model, blocks, tokenizer, tmp_path, request.param, **changes)
    run.train()
    rows = torch.as_tensor(blocks["input_ids"][-120:]).long()[:, :-1]
    documents = torch.arange(len(rows))[:, None].expand_as(rows) // 4
    model = run.model
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    found = class_accuracies(model, rows, documents, tokenizer, word_classes())
    assert model.training
    assert all(torch.equal(weights[name], weight) for name, weight in model.state_dict().items())
    return request.param, {accuracy.group: accuracy for accuracy in found}


def test_accuracy_of_trained_words_held_out_words_and_held_out_classes(trained):
    head, found = trained
    assert set(found) == {"training words", "held-out words", "held-out classes"}
    assert found["training words"].words + found["held-out words"].words <= len(WORDS)
    for group in ("training words", "held-out words"):
        it = found[group]
        assert 0.2 < it.chance < 0.5
        if head == "direct":
            assert (it.after, it.shuffled) == (None, None)
            assert it.before.mean > 0.9
        else:
            assert it.after.mean > 0.9
            assert it.after.low <= it.after.mean <= it.after.high
        if head in ("batch", "memory"):
            assert it.before is None, "there is nothing before prototypes"
            assert it.shuffled.mean < 0.7, "prototypes go by their support set"
        if head == "maml":
            assert it.before.mean > 0.9, "a head of fixed identity knows its classes without a support set"
            assert it.shuffled.mean > 0.9, "and hardly goes by it"
    if head in ("maml", "direct"):
        assert found["held-out classes"].before.mean < 0.1, "an output that was never trained"
    lines = class_table(list(found.values())).splitlines()
    assert len(lines) == 4
    assert ("-" in lines[1].split()) == (head != "maml")
