from functools import partial

import numpy as np
import pytest
import torch

from pico_maml import PicoForTokenClassification
from pico_maml.trainers.ner.alignment import align
from pico_maml.trainers.ner.features import Features, encode
from pico_maml.trainers.tuning import batches


def test_features_are_the_hidden_states_of_labelled_subwords(classifier, tokenizer, treebank, monkeypatch):
    rows = treebank["train"].map(partial(align, tokenizer=tokenizer, max_length=128), batched=True)
    monkeypatch.setattr(batches, "TOKENS_AT_ONCE", 64)
    encoded = encode(classifier.pico_decoder, rows)
    classifier.eval()
    expected = []
    for ids, labels in zip(rows["input_ids"], rows["labels"], strict=True):
        hidden = classifier.pico_decoder(input_ids=torch.tensor([ids])).last_hidden_state[0]
        expected.append(hidden[torch.tensor(labels) != -100].detach())
    torch.testing.assert_close(encoded, torch.cat(expected), atol=1e-5, rtol=1e-5)


def test_features_of_all_layers_are_what_the_token_classifier_reads(config, tokenizer, treebank):
    config.classifier_features, config.max_seq_len = "all", 128
    torch.manual_seed(0)
    model = PicoForTokenClassification(config).eval()
    rows = treebank["test"].map(partial(align, tokenizer=tokenizer, max_length=128), batched=True)
    encoded = encode(model.pico_decoder, rows, "all")
    assert encoded.shape[1] == (config.n_layers + 1) * config.d_model
    ids, labels = (torch.tensor(rows[0][name]) for name in ("input_ids", "labels"))
    logits = model(ids[None]).logits[0][labels != -100]
    torch.testing.assert_close(model.score(encoded[: len(logits)].clone()), logits)


def test_features_on_a_full_disk_leave_no_file(classifier, tokenizer, treebank, tmp_path, monkeypatch):
    rows = treebank["test"].map(partial(align, tokenizer=tokenizer, max_length=128), batched=True)

    def full(file, array):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        Features(classifier.pico_decoder, folder=tmp_path / "features").encode(rows)
    assert not list((tmp_path / "features").iterdir())


def test_batches_hold_every_row_once():
    lengths = [3, 9, 1, 4, 20, 4]
    every = list(batches.batches(lengths, 12))
    assert sorted(i for batch in every for i in batch) == list(range(6))
    assert all(len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= 12 for batch in every)
