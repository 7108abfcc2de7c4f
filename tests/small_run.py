"""A small training run, started by tests in this process or in several."""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import torch
from any_model import any_model
from datasets import load_from_disk
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor
from transformers import AutoTokenizer
from transformers.distributed import DistributedConfig

from pico_maml import PicoConfig, PicoForCausalLM
from pico_maml.callbacks import HeadStatisticsCallback, Source
from pico_maml.recipes.arguments.dynamics import DynamicsArguments, add_dynamics
from pico_maml.trainers import MAMLConfig, MAMLTrainer
from pico_maml.trainers.corpus import WordTable
from pico_maml.trainers.drawing import DrawsEpisodes
from pico_maml.trainers.episodes import Examples
from pico_maml.trainers.meta.adaptation import evaluate_adaptation
from pico_maml.trainers.meta.meta_model import PicoForMetaCausalLM
from pico_maml.trainers.tasks.adaptation import evaluate_tasks
from pico_maml.trainers.word_classes import WordClasses

# Name of the variant in which the second process kills itself.
KILLED = "killed"


def arguments(output_dir, **changes) -> MAMLConfig:
    """Arguments that fit the fixtures of conftest.py."""
    defaults = {
        "output_dir": str(output_dir),
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
        "n_way": 4,
        "k_shot": 2,
        "episode_window": 8,
        "episode_pool": 16,
        "word_max_frequency": 1.0,
        "head_layers": 2,
        "head_hidden_dim": 16,
        "seed": 3,
    }
    return MAMLConfig(**{**defaults, **changes})


def trainer(model, blocks, tokenizer, output_dir, word_classes=None, **changes) -> MAMLTrainer:
    return MAMLTrainer(model, arguments(output_dir, **changes), blocks, tokenizer, word_classes)


def tensors_of(episode) -> list[torch.Tensor]:
    """The tensors of an episode, or of its two sets."""
    parts = [vars(part).values() if isinstance(part, Examples) else [part] for part in vars(episode).values()]
    return [tensor for part in parts for tensor in part if isinstance(tensor, torch.Tensor)]


class Recording:
    """A source of episodes, which also keeps a digest of each."""

    def __init__(self, source: DrawsEpisodes, die: bool) -> None:
        self.source = source
        self.seen: list[str] = []
        self.die = die

    def __getattr__(self, name):
        return getattr(self.source, name)

    def draw(self, input_ids, generator):
        episode = self.source.draw(input_ids, generator)
        if self.die and len(self.seen) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        parts = [] if episode is None else tensors_of(episode)
        self.seen.append(hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest())
        return episode


def classes_of(args: MAMLConfig) -> WordClasses | None:
    """The classes of the words of the text, by their first letter, or None for word episodes."""
    words = [first + second for first in "abcdefghij" for second in "abcdefghij"]
    return WordClasses.from_words(words, [word[0] for word in words], [1] * 100) if args.class_episodes else None


def sharded(model: PicoForCausalLM, args: MAMLConfig, folder: Path) -> PicoForMetaCausalLM:
    """The model to train, its weights distributed by FSDP2 as transformers does it."""
    head = args.class_head(10) if args.class_episodes else args.head()
    with args.main_process_first():
        if args.process_index == 0:
            PicoForMetaCausalLM.from_causal_lm(model, args.seed, **head).save_pretrained(folder)
    config = DistributedConfig(fsdp_size=args.world_size)
    return PicoForMetaCausalLM.from_pretrained(folder, distributed_config=config)


def main(folder: Path, out: Path) -> None:
    """One process of a distributed run: train each variant, check the world, save what is to be compared."""
    settings = json.loads((out / "settings.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    words = WordTable.from_tokenizer(tokenizer, len(tokenizer))
    blocks = load_from_disk(str(folder / "blocks")).with_format("numpy")
    for name, changes in settings["variants"].items():
        torch.manual_seed(0)
        model = PicoForCausalLM(PicoConfig.from_pretrained(folder / "config"))
        if "task_files" in changes:
            changes["task_files"] = [str(folder / path) for path in changes["task_files"]]
        if kind := changes.pop("kind", None):
            model = any_model(kind, len(tokenizer))
        args = arguments(out / name, **changes)
        assert args.world_size == settings["world_size"], args.world_size
        if settings["fsdp"]:
            model = sharded(model, args, out / name / "start")
        run = MAMLTrainer(model, args, blocks, tokenizer, classes_of(args))
        if name in settings["watched"]:
            text = torch.as_tensor(blocks[-40:]["input_ids"]).long()
            watch = DynamicsArguments(dynamics_steps=4, dynamics_ov_circuits=True)
            dynamics = add_dynamics(run, watch, Source(text, 0), None)
            run.add_callback(HeadStatisticsCallback(run.record, dynamics))
        run.source = Recording(run.source, die=name == KILLED and args.process_index == 1)
        run.train()
        weights = {name: p.detach() for name, p in run.model.named_parameters()}
        assert settings["fsdp"] == any(isinstance(p, DTensor) for p in weights.values())
        weights = {name: p.full_tensor() if isinstance(p, DTensor) else p for name, p in weights.items()}
        (out / name / f"episodes-{args.process_index}.json").write_text(json.dumps(run.source.seen))
        held_out = torch.as_tensor(blocks[-40:]["input_ids"])[:, :-1].long()
        shape = args.with_documents("different") if args.class_episodes else args
        measured = [evaluate_adaptation(run.model, held_out, words, tokenizer.mask_token_id, shape, 7, seed=1)]
        if args.task_files:
            measured += evaluate_tasks(run.model, run.source.table, args, 13)
        if run.is_world_process_zero():
            (out / name / "adaptation.json").write_text(json.dumps([each.figures() for each in measured]))
            save_file({name: p.clone() for name, p in weights.items()}, out / name / "weights.safetensors")
    run.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
