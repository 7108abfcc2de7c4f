"""lm-evaluation-harness measures the same perplexity of a checkpoint as this package."""

import json
import math
import re
from pathlib import Path

import pytest

from pico_maml.callbacks import held_out_loss
from pico_maml.trainers.corpus import first_blocks, pack_blocks
from pico_maml.trainers.corpus.document_numbers import with_documents

lm_eval = pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness (the extra lm-eval)")

TASKS = Path(__file__).parents[3] / "recipes" / "configs" / "lm_eval"


def test_harness_measures_our_held_out_perplexity(model, tokenizer, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model.save_pretrained("model")
    tokenizer.save_pretrained("model")
    # One document shorter than the context, and one of two whole contexts, which the harness cuts where we do.
    context = model.config.max_seq_len
    longer = next(d for d in (text[0][:end] for end in range(600)) if len(tokenizer(d)["input_ids"]) == 2 * context)
    documents = [text[1][:60], longer]
    Path("held_out.jsonl").write_text("".join(json.dumps({"text": document}) + "\n" for document in documents))
    nats = 0.0
    for document in documents:
        ids = [tokenizer.eos_token_id, *tokenizer(document)["input_ids"]]  # what a document begins after
        row = with_documents({"input_ids": ids}, tokenizer.eos_token_id)
        blocks, _ = first_blocks(pack_blocks([row], min(context, len(ids) - 1)), len(ids))
        result = held_out_loss(model, blocks, batch_size=2)
        assert result.tokens == len(ids) - 1
        nats += result.loss * result.tokens

    from lm_eval.tasks import TaskManager

    got = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": "model"},
        tasks=["held_out"],
        task_manager=TaskManager(include_path=str(TASKS), include_defaults=False),
        device="cpu",
        batch_size=2,
        bootstrap_iters=0,
    )["results"]["held_out"]
    size = sum(len(document.encode()) for document in documents)
    words = sum(len(re.split(r"\s+", document)) for document in documents)
    # Both sum log-probabilities in fp32: a total of 1e3 nats is exact to about 1e-3, 1e-6 of itself.
    assert got["bits_per_byte,none"] == pytest.approx(nats / size / math.log(2), rel=1e-6)
    assert got["byte_perplexity,none"] == pytest.approx(math.exp(nats / size), rel=1e-5)
    assert got["word_perplexity,none"] == pytest.approx(math.exp(nats / words), rel=1e-5)
