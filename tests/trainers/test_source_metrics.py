"""Tokens and losses of the sources of a mixture, for a Pico and for a model of another architecture."""

import pytest
import torch
from any_model import any_model
from same_run import logs
from small_run import trainer

from pico_maml.trainers.corpus import MixedBlocks
from pico_maml.trainers.corpus.mixture import FIRST
from pico_maml.trainers.meta import MetaCausalLM
from pico_maml.trainers.meta.meta_model import PicoForMetaCausalLM


@pytest.mark.parametrize("kind", ["pico", "llama"])
def test_losses_of_the_sources_are_those_of_their_rows(kind, model, blocks, tokenizer, tmp_path):
    halves = {"a": blocks.select(range(0, 100)), "b": blocks.select(range(100, 150))}
    language_model = model if kind == "pico" else any_model(kind, len(tokenizer))
    options = {"max_steps": 2, "hybrid_ratio": 0.0, "learning_rate": 0.0, "gradient_accumulation_steps": 1}
    mixed = MixedBlocks(halves, [0.5, 0.5], FIRST)
    run = trainer(language_model, mixed, tokenizer, tmp_path, **options, per_device_train_batch_size=8)
    assert type(run.model) is (PicoForMetaCausalLM if kind == "pico" else MetaCausalLM)
    seen = []
    step = run.training_step
    run.training_step = lambda model, inputs, *more: (seen.append(dict(inputs)), step(model, inputs, *more))[1]
    run.train()
    run.model.eval()
    before = dict.fromkeys(("a", "b"), 0)
    for batch, entry in zip(seen, (entry for entry in logs(tmp_path) if "tokens_seen" in entry), strict=True):
        for number, name in enumerate(("a", "b")):
            mine = batch["source"] == number
            ids, labels = batch["input_ids"][mine], batch["shift_labels"][mine]
            with torch.no_grad():
                loss = run.model(ids, shift_labels=labels).loss.item()
            assert entry[f"next_token_loss/{name}"] == pytest.approx(loss, rel=1e-5)
            assert entry[f"tokens_seen/{name}"] - before[name] == ids.numel()
            before[name] = entry[f"tokens_seen/{name}"]
