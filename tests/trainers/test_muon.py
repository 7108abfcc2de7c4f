"""Muon for the matrices of the layers and AdamW for the rest."""

import copy
import shutil

import pytest
import torch
from same_run import logs, same, state
from small_run import trainer
from torch.optim import AdamW, Muon

from pico_maml import PicoForCausalLM
from pico_maml.trainers import InputError
from pico_maml.trainers.cost import cost_of
from pico_maml.trainers.muon import MuonWithAdamW, muon_groups

OPTIONS = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, "matrix_optimizer": "muon", "weight_decay": 0.1}


@pytest.fixture
def start(config, blocks, tokenizer, tmp_path):
    def new(name, **changes):
        torch.manual_seed(0)
        return trainer(PicoForCausalLM(config), blocks, tokenizer, tmp_path / name, **OPTIONS | changes)

    return new


def test_matrices_of_the_layers_are_muons_and_nothing_else(start):
    run = start("run")
    names = {id(parameter): name for name, parameter in run.model.named_parameters()}
    muon, *rest = run.create_optimizer().param_groups
    assert muon["use_muon"]
    assert not any(group["use_muon"] for group in rest)
    mine = {names[id(parameter)] for parameter in muon["params"]}
    assert mine == {
        *(name for name in names.values() if name.startswith("pico_decoder.layers.") and "norm" not in name),
    }
    assert sum(len(group["params"]) for group in (muon, *rest)) == len(names)
    assert {group["weight_decay"] for group in rest} == {0.1, 0.0}


def test_each_parameter_moves_as_under_its_own_optimizer(model):
    other = copy.deepcopy(model)
    decay = {name for name, parameter in model.named_parameters() if parameter.ndim == 2}
    both = MuonWithAdamW(muon_groups(model, decay, 0.1), 1e-2, betas=(0.9, 0.95), eps=1e-8)
    groups = muon_groups(other, decay, 0.1)
    alone = [
        Muon([g for g in groups if g["use_muon"]], lr=1e-2, adjust_lr_fn="match_rms_adamw"),
        AdamW([g for g in groups if not g["use_muon"]], lr=1e-2, betas=(0.9, 0.95), eps=1e-8),
    ]
    ids = torch.randint(0, 200, (2, 12), generator=torch.Generator().manual_seed(0))
    for step in range(4):
        for one, optimizers in ((model, [both]), (other, alone)):
            one.zero_grad()
            one(ids, labels=ids).loss.backward()
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = 1e-2 / (1 + step)  # as a schedule does
                optimizer.step()
    for (name, one), same_one in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(one, same_one), name


def test_resume_with_muon_is_bitwise(start, tmp_path):
    start("whole").train()
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    shutil.rmtree(tmp_path / "part" / "checkpoint-6")
    start("part").train(resume_from_checkpoint=True)
    assert logs(tmp_path / "part") == logs(tmp_path / "whole")
    whole, part = (state(tmp_path / name / "checkpoint-6") for name in ("whole", "part"))
    assert [name for name in whole if not same(whole[name], part[name])] == []


def test_sharded_matrices_are_an_error(start, monkeypatch):
    monkeypatch.setattr("pico_maml.trainers.maml_trainer.DTensor", torch.nn.Parameter)
    with pytest.raises(InputError, match="matrix_optimizer muon needs whole matrices, which FSDP shards"):
        start("run").create_optimizer()


def test_products_of_muon_are_counted_once_a_step():
    shape = {"model_size": "tiny", "d_model": 32, "attention_n_heads": 4, "attention_n_kv_heads": 2, "n_layers": 3}
    shape |= {"activation_hidden_dim": 64, "vocab_size": 100, "block_size": 16, "hybrid_ratio": 0.0}
    adamw, muon = (cost_of(shape | {"matrix_optimizer": name}, 80) for name in ("adamw", "muon"))
    iteration = 2 * (32 * 32 * 32) * 2 + 2 * 32**3  # A = X X', A X and B X are counted as two products of m m n
    per_layer = 2 * 5 * iteration + 2 * 5 * (4 * 16 * 16 * 32 + 2 * 16**3) + 3 * 5 * (4 * 32 * 32 * 64 + 2 * 32**3)
    assert (muon.token - adamw.token) * 80 == pytest.approx(3 * per_layer)
    half = cost_of(shape | {"matrix_optimizer": "muon", "hybrid_ratio": 0.5, "hybrid_mode": "replace"}, 80)
    assert (half.token - adamw.token) * 40 == pytest.approx(3 * per_layer)


@pytest.mark.parametrize(("decay", "first"), [(0.25, 15), (4, 16)])
def test_warmup_stable_decay_ends_with_its_decay(start, decay, first):
    run = start("run", lr_scheduler_type="warmup_stable_decay", warmup_steps=4, lr_decay_steps=decay)
    run.create_optimizer_and_scheduler(20)
    (share, *_) = run.lr_scheduler.lr_lambdas
    assert [share(step) for step in (2, 4, first)] == [0.5, 1, 1]
    assert 0 < share(first + 1) < 1
    assert share(20) == pytest.approx(0)
