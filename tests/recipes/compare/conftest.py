"""A study with three arms, as its YAML file gives it, and a small one that runs."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pretrain_run import SMALL

from pico_maml.recipes.compare import budget, follow_up_cost, worker
from pico_maml.recipes.compare.arguments import CompareArguments
from pico_maml.recipes.compare.process import CommandFailed
from pico_maml.recipes.compare.study import Study
from pico_maml.trainers import InputError


@pytest.fixture
def entries() -> dict[str, Any]:
    return {
        "output_dir": "out",
        "question": "Do episodes help?",
        "base": ["demo"],
        "arguments": {
            "held_out_rule": "form",
            "max_steps": "450",
            "gradient_accumulation_steps": "2",
            "warmup_steps": "50",
        },
        "arms": {
            "vanilla": {"arguments": {"hybrid_ratio": "0"}},
            "added": {"recipes": ["episodes/added"], "control": "vanilla"},
            "paper": {"recipes": ["episodes/paper"], "control": ["vanilla", "added"]},
        },
        "measures": {"loss": "0.01", "prototypes": "0.02"},
        "adaptation": {"episodes": "20"},
        "primary": ["added vs vanilla: loss"],
        "seeds": [1, 2, 3],
    }


@pytest.fixture
def new_study(entries):
    """Returns a study with some entries replaced."""

    def new(**changes: Any) -> Study:
        return Study.of(CompareArguments(**entries | changes))

    return new


@pytest.fixture
def study(new_study) -> Study:
    return new_study()


class Killed(BaseException):
    """Ends the process at a chosen command, as a signal would."""


@pytest.fixture
def commands(monkeypatch):
    """Runs the commands of a study in this process, and lists them; the one numbered `kill_at` kills the study."""

    class Commands(list):
        kill_at = None
        Killed = Killed

        def run(self, name, argv, log, processes=1):
            if len(self) == self.kill_at:
                raise Killed
            self.append((name, argv))
            try:
                importlib.import_module(f"pico_maml.recipes.{name}.command").main(argv)
            except InputError as error:
                raise CommandFailed(name, 2, str(error), log) from error

    commands = Commands()
    for module in (worker, budget, follow_up_cost):
        monkeypatch.setattr(module, "run_command", commands.run)
    return commands


@pytest.fixture
def argv(corpus, tmp_path, monkeypatch) -> list[str]:
    """A study of three arms and two seeds, two of the arms the same by construction."""
    monkeypatch.chdir(tmp_path)
    small = SMALL | {"dataset": corpus, "max_steps": 12, "eval_episodes": 0, "eval_steps": 6, "save_steps": 6}
    Path("small.yaml").write_text(yaml.safe_dump(small))
    study = {
        "question": "Do episodes help?",
        "base": ["small.yaml"],
        "arms": {
            "vanilla": {"arguments": {"hybrid_ratio": 0}},
            "same": {"arguments": {"hybrid_ratio": 0}, "control": "vanilla"},
            "episodes": {"arguments": {"readout": "previous"}, "control": "vanilla"},
        },
        "seeds": [1, 2],
        "measures": {
            "loss": 0.01,
            "prototypes": 0.02,
            "ner/head/sample": 0.02,
            "few_shot/prototypes/5/sample": 0.02,
        },
        "primary": ["same vs vanilla: loss", "episodes vs vanilla: loss"],
        "adaptation": {"episodes": 2, "readout": "previous", "n_way": 3, "k_shot": 1, "n_query": 1},
        "ner": {"modes": ["head"], "train_on": ["sample"], "evaluate_on": ["sample"], "num_train_epochs": 1},
        "few_shot": {"train_on": ["sample"], "shots": [1, 5], "draws": 2, "few_shot_methods": ["prototypes"]},
        "measured_steps": 12,
    }
    Path("study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return ["--config", "study.yaml", "--output_dir", "out"]
