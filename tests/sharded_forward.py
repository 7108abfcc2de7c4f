"""One of two gloo processes: a forward pass sharded by FSDP2 or by tensor parallelism, against the plain one."""

from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM
from transformers.distributed import DistributedConfig

import pico_maml


def main(kind: str, folder: Path) -> None:
    dist.init_process_group("gloo")
    assert dist.get_world_size() == 2
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert isinstance(plain, pico_maml.PicoForCausalLM)
    ids = torch.randint(3, 400, (2, 16), generator=torch.Generator().manual_seed(1))
    expected = plain(ids, labels=ids)
    expected.loss.backward()
    # Both read the plans of the configuration and of the model class.
    plan = {"fsdp": {"fsdp_size": 2}, "tensor-parallel": {"tp_size": 2, "tp_plan": "auto"}}[kind]
    config = DistributedConfig(**plan)
    model = AutoModelForCausalLM.from_pretrained(folder, distributed_config=config).eval()
    # Each layer is gathered by itself, which is what saves memory.
    assert all(isinstance(part, FSDPModule) is (kind == "fsdp") for part in (model, *model.pico_decoder.layers))
    weights = dict(model.named_parameters())
    query = weights["pico_decoder.layers.0.attention.q_proj.weight"]
    assert isinstance(query, DTensor), type(query)
    assert query.to_local().shape[0] == query.shape[0] // 2
    out = model(ids, labels=ids)
    torch.testing.assert_close(out.logits, expected.logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(out.loss, expected.loss)
    out.loss.backward()
    for name, parameter in plain.named_parameters():
        gradient = weights[name].grad
        gradient = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
        torch.testing.assert_close(gradient, parameter.grad, atol=1e-5, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}")
    dist.destroy_process_group()
    print("equal")
