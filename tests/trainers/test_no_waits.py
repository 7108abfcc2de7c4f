"""A step waits for the GPU only where it says so: nothing else in it reads a value that the GPU has to compute."""

from dataclasses import replace

import pytest
import torch
from small_run import arguments, classes_of, tensors_of
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.func import functional_call
from transformers import Trainer

from pico_maml.trainers import MAMLConfig, MAMLTrainer
from pico_maml.trainers.class_episodes.source import ClassEpisodeSource

CLASSES = {"episode_classes": "clusters", "readout": "word", "held_out_rule": "form", "hybrid_mode": "add"}
VARIANTS = {
    "next-token": {"hybrid_ratio": 0.0},
    "maml": {},
    "mask": {"readout": "mask"},
    "added": {"hybrid_mode": "add"},
    "second-order": {"first_order": False, "head_dropout": 0.0},
    "protonet": {"meta_algorithm": "protonet"},
    "proto-maml": {"meta_algorithm": "proto-maml"},
    "stream": {"hybrid_mode": "add", "episode_states": "stream", "readout": "previous", "n_way": 3, "k_shot": 1},
    "published": {"episode_sampler": "random_positions"},
    "classes-memory": CLASSES | {"meta_algorithm": "protonet", "class_support": "memory"},
    "classes-batch": CLASSES | {"meta_algorithm": "protonet", "class_layer": 1},
    "classes-maml": CLASSES | {"meta_algorithm": "maml"},
    "classes-direct": CLASSES | {"meta_algorithm": "direct"},
}


@pytest.fixture
def passed(model, blocks, tokenizer, tmp_path, request):
    """A trainer after a step, and what its model was given for a micro-batch."""
    usual = {"max_steps": 1, "hybrid_ratio": 1.0, "use_cpu": not torch.cuda.is_available()}
    args = arguments(tmp_path, **usual | VARIANTS[request.param])
    run, passes = MAMLTrainer(model, args, blocks, tokenizer, classes_of(args)), []
    run.model.register_forward_pre_hook(lambda model, positional, named: passes.append(named), with_kwargs=True)
    run.train()
    return run, passes[-1]


@pytest.mark.parametrize("passed", VARIANTS, indirect=True)
def test_a_micro_batch_never_waits(passed):
    run, inputs = passed
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        weights = {name: mode.from_tensor(p.detach()).requires_grad_() for name, p in run.model.named_parameters()}
        output = functional_call(run.model, weights, kwargs=inputs)
        output.loss.backward()
        for name, (total, count) in (getattr(output, "metrics", None) or {}).items():
            run.meter.add(name, total, count)
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        torch.optim.AdamW(weights.values(), fused=True).step()
    assert any(weight.grad is not None for weight in weights.values())


@pytest.mark.parametrize("passed", VARIANTS, indirect=True)
def test_drawing_and_copying_a_micro_batch_never_wait(passed, monkeypatch):
    run, _ = passed
    loader, handed = run.get_train_dataloader(), []
    assert loader.device is None, "accelerate copies and waits"
    # Values of tensors on this device cannot be read.
    monkeypatch.setattr(MAMLConfig, "device", torch.device("meta"))
    monkeypatch.setattr(
        Trainer, "training_step", lambda self, model, inputs, *_: handed.append(inputs) or torch.ones(())
    )
    to_meta(run.source)
    run.training_step(run.model, next(iter(loader)))
    (inputs,) = handed
    tensors = [part for part in inputs.values() if isinstance(part, torch.Tensor)]
    if "episode" in inputs:
        tensors += tensors_of(inputs["episode"])
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def to_meta(source) -> None:
    """Move what a source of episodes keeps on the device of the model."""
    if isinstance(source, ClassEpisodeSource) and source.memory is not None:
        source.memory = replace(source.memory, sums=source.memory.sums.to("meta"))
    if source.streams:
        batches = source.pool._batches
        for number, batch in enumerate(batches):
            batches[number] = batch._replace(states=batch.states.to("meta"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("passed", VARIANTS, indirect=True)
def test_a_micro_batch_never_waits_for_a_real_gpu(passed):
    run, _ = passed
    batch = next(iter(run.get_train_dataloader()))
    torch.cuda.set_sync_debug_mode("error")
    try:
        run.training_step(run.model, batch)
        run.meter.add("a number", 1.0)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    "wait", [lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: x.tolist(), lambda x: float(x[0]), torch.nonzero]
)
def test_such_a_wait_would_be_found(wait):
    with FakeTensorMode(), pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
        wait(torch.ones(3))
