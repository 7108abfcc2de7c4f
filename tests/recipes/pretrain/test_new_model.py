"""An embedding that starts from the training text."""

import pytest
import torch
from pretrain_run import argv
from torch.nn import functional as F
from transformers import AutoModelForCausalLM
from word_language import CLASSES, vocabulary

from pico_maml.recipes.arguments.parser import parse
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.recipes.pretrain.arguments import TYPES, PretrainArguments
from pico_maml.recipes.pretrain.corpus import load_corpus
from pico_maml.recipes.pretrain.new_model import new_model
from pico_maml.trainers.compute_clock import ComputeClock

SVD = {"hybrid_ratio": 0, "init_embeddings": "svd", "vocab_size": 700}


def test_the_embedding_knows_which_tokens_have_the_same_neighbours(language_corpus, tmp_path):
    args = PretrainArguments(*parse(TYPES, argv(tmp_path / "x", language_corpus, **SVD), prog="pretrain"))
    corpus = load_corpus(args, None)
    model = new_model(args, corpus.tokenizer, corpus.start)
    weights = model.get_input_embeddings().weight.detach()
    groups = torch.tensor(
        [[corpus.tokenizer(f" {word}")["input_ids"][0] for word in words] for words in vocabulary("latin")]
    )
    centres = F.normalize(weights[groups].mean(1), dim=-1)
    assert (weights[groups] @ centres.T).argmax(-1).eq(torch.arange(CLASSES)[:, None]).all()
    assert float(weights.std()) == pytest.approx(0.02, rel=0.1)
    usual = args.model.model(corpus.tokenizer, args.training.seed)
    for (name, one), other in zip(model.named_parameters(), usual.parameters(), strict=True):
        assert torch.equal(one, other) == ("embed" not in name or "de_embed" in name), name


def test_a_run_starts_there_charges_what_it_cost_and_resumes(language_corpus, tmp_path, monkeypatch):
    charged = []
    monkeypatch.setattr(ComputeClock, "charge", lambda self, seconds: charged.append(seconds > 0))
    results = pretrain.main(argv(tmp_path / "run", language_corpus, **SVD))
    assert results["adaptation_before_training"]["episodes"] == 2
    assert charged == [True]
    (tmp_path / "run" / "results.json").unlink()
    again = pretrain.main(argv(tmp_path / "run", language_corpus, resume=True, max_steps=6, **SVD))
    assert again["adaptation_before_training"] == results["adaptation_before_training"]
    assert len(charged) == 1, "the checkpoint has counted it"
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "run").config.vocab_size == 700
