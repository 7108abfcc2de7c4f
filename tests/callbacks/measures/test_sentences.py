"""Log-probabilities of whole sentences."""

import pytest
import torch

from pico_maml.callbacks.measures import sentence_log_probabilities

SENTENCES = ["ab", "cd ef gh", "ij ab cd ef gh ij ab", "aa bb"]


def test_sum_over_all_tokens_does_not_depend_on_the_batch(model, tokenizer):
    first = tokenizer.eos_token_id
    sentences = tokenizer(SENTENCES)["input_ids"]
    assert len({len(sentence) for sentence in sentences}) > 2
    expected = []
    with torch.no_grad():
        for ids in sentences:
            logits = model(torch.tensor([[first, *ids]])).logits[0, :-1]
            expected.append(logits.log_softmax(-1)[range(len(ids)), ids].sum().item())
    model.train()
    for batch_size in (1, 3, 8):
        values = sentence_log_probabilities(model, sentences, first, batch_size)
        assert values.dtype == torch.float64
        assert values.tolist() == pytest.approx(expected, rel=1e-5)
    assert model.training


def test_harness_gives_the_same_log_probabilities(model, tokenizer):
    pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness (the extra lm-eval)")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    requests = [Instance("loglikelihood", {}, ("", sentence), 0) for sentence in SENTENCES]
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=2, backend="causal")
    expected = [value for value, _ in harness.loglikelihood(requests, disable_tqdm=True)]
    ids = tokenizer(SENTENCES)["input_ids"]
    assert sentence_log_probabilities(model, ids, tokenizer.eos_token_id, 2).tolist() == pytest.approx(expected, 1e-5)
