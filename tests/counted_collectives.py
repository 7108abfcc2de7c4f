"""One of two gloo processes: micro-batches under FSDP2 as accelerate sets it up, with every collective logged."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
import yaml
from accelerate import FullyShardedDataParallelPlugin
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from torch.utils._python_dispatch import TorchDispatchMode

from pico_maml import PicoConfig, PicoForCausalLM
from pico_maml.trainers.episodes import episode_generator, sample_episode
from pico_maml.trainers.meta.episode_loss import InnerLoop
from pico_maml.trainers.meta.meta_model import PicoForMetaCausalLM


class Collectives(TorchDispatchMode):
    """Logs the weights of every all-gather and of every reduce-scatter."""

    def __init__(self) -> None:
        super().__init__()
        self.gathers: list[int] = []
        self.scatters: list[int] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        if func.overloadpacket is torch.ops.c10d._allgather_base_:
            self.gathers.append(args[0].numel())  # the output, whole
        if func.overloadpacket is torch.ops.c10d._reduce_scatter_base_:
            self.scatters.append(args[1].numel())  # the input, whole
        return func(*args, **(kwargs or {}))


def sharded(model: PicoForMetaCausalLM, settings: dict[str, Any]) -> Any:
    """The model in shards, by accelerate's own function. Its `Accelerator` offers FSDP on GPUs only."""
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=settings["fsdp_version"],
        auto_wrap_policy=settings["fsdp_auto_wrap_policy"].lower(),
        transformer_cls_names_to_wrap=[settings["fsdp_transformer_layer_cls_to_wrap"]],
        reshard_after_forward=settings["fsdp_reshard_after_forward"],
        cpu_ram_efficient_loading=settings["fsdp_cpu_ram_efficient_loading"],
        cpu_offload=settings["fsdp_offload_params"],
    )
    state = SimpleNamespace(fsdp_plugin=plugin)
    accelerator = SimpleNamespace(state=state, mixed_precision="no", is_main_process=False, device=torch.device("cpu"))
    return fsdp2_prepare_model(accelerator, model)


def main(folder: Path, launch_configuration: Path) -> None:
    """Run one optimizer step of five micro-batches; log the collectives of each."""
    dist.init_process_group("gloo")
    config = PicoConfig.from_pretrained(folder)
    torch.manual_seed(0)
    head = dict(config.meta_head)
    model = PicoForMetaCausalLM.from_causal_lm(PicoForCausalLM(config), 0, **head)
    model = sharded(model, yaml.safe_load(launch_configuration.read_text())["fsdp_config"]).train()
    text = torch.randint(1, config.vocab_size, (64, 49), generator=torch.Generator().manual_seed(0))
    generator = episode_generator(0, 0, 0)
    episode = sample_episode(text, 0, head["ways"], 2, 1, generator, window=8, max_frequency=1.0)
    inputs: dict[str, dict[str, Any]] = {
        "next_token": {"input_ids": text[:2, :-1], "shift_labels": text[:2, 1:]},
        "episode": {"episode": episode, "dropout_seed": 0},
        "exact_episode": {"episode": episode, "inner": InnerLoop(first_order=False)},
    }
    log = []
    micro_batches = ["next_token", "episode", "exact_episode", "next_token", "episode"]
    for i, kind in enumerate(micro_batches, start=1):
        # What accelerate's `no_sync` does, and the Trainer enters for every micro-batch but the last of a step.
        model.set_requires_gradient_sync(i == len(micro_batches))
        with Collectives() as collectives:
            model(**inputs[kind]).loss.backward()
        whole = sum(p.grad.numel() for p in whole_parameters(model) if p.grad is not None)
        log.append([kind, collectives.gathers, collectives.scatters, whole])
    if dist.get_rank() == 0:
        (folder / "collectives.json").write_text(json.dumps(log))
    dist.destroy_process_group()


def whole_parameters(model: Any) -> list[torch.Tensor]:
    """The parameters that FSDP2 gathers into; between micro-batches their gradients stay."""
    groups = [group for state in model._get_fsdp_state()._state_ctx.all_states for group in state._fsdp_param_groups]
    return [parameter._unsharded_param for group in groups for parameter in group.fsdp_params]
