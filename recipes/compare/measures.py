"""What is measured of every run: names of measures, their margins, and the commands that follow pretraining."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...trainers import InputError
from ...trainers.ner import NERConfig
from ...trainers.ner.universal_ner import ALL, TREEBANKS
from ..arguments.parser import argument_list, parse
from ..evaluate.arguments import EvaluateArguments
from ..finetune.ner import NERArguments
from ..sweep.arguments import TYPES as SWEEP_TYPES
from ..sweep.arguments import SweepArguments, decisive

NAMES = "loss, loss/SOURCE, prototypes, fresh_head, ner/MODE/TREEBANK[/TEST] or few_shot/METHOD/K/TREEBANK[/TEST]"
NER_FOLDER = "ner"
# A placeholder where arguments are parsed only to check them.
UNUSED = "unused"


def treebank_name(treebank: str) -> str:
    """Name of a treebank in measures: a file's or folder's own name, without the folders above it."""
    return Path(treebank).name


@dataclass(frozen=True)
class FollowUp:
    """What follows pretraining, as the study's file gives it; empty where nothing does."""

    adaptation: dict[str, Any]  #: arguments of `evaluate`
    ner: dict[str, Any]  #: arguments of `sweep`
    few_shot: dict[str, Any]  #: arguments of `finetune`, with the treebanks as `train_on`

    def check(self) -> None:
        """Raise InputError for an argument that its command does not have, or that the study itself decides."""
        parse((EvaluateArguments,), ["--model", UNUSED, *argument_list(self.adaptation)], prog="evaluate")
        if self.ner:
            self.sweep_settings()
        if self.few_shot:
            if not self.few_shot.get("train_on") or not self.few_shot.get("shots"):
                raise InputError("few_shot needs train_on, its treebanks, and shots, mentions of each class")
            self.few_shot_settings()

    def sweep(self, model: str, output_dir: str) -> list[str]:
        """Arguments of `sweep` that fine-tune one model."""
        return [*argument_list(self.ner), "--models", f"model/run={model}", "--output_dir", output_dir]

    def sweep_settings(self) -> tuple[SweepArguments, NERConfig]:
        """The arguments of the sweep of a run; raise InputError for those that a sweep refuses."""
        sweep, args = parse(SWEEP_TYPES, self.sweep(UNUSED, UNUSED), prog="sweep")
        decisive(sweep, args)
        return sweep, args

    @property
    def treebanks(self) -> list[str]:
        """Treebanks of few-shot training."""
        value = self.few_shot.get("train_on", [])
        return [value] if isinstance(value, str) else value

    def few_shots(self, model: str, treebank: str, output_dir: str) -> list[str]:
        """Arguments of `finetune` that train one model on a few sentences of a treebank."""
        own = {name: value for name, value in self.few_shot.items() if name != "train_on"}
        return ["--model", model, "--treebank", treebank, "--output_dir", output_dir, *argument_list(own)]

    def few_shot_settings(self) -> tuple[NERArguments, NERConfig]:
        """The arguments of few-shot training on the first treebank."""
        argv = self.few_shots(UNUSED, self.treebanks[0], UNUSED)
        finetune, args = parse((NERArguments, NERConfig), argv, prog="finetune")
        return finetune, args

    def margins(self, measures: dict[str, Any]) -> dict[str, float]:
        """The margin of every measure; raise InputError for one that is no number, or a measure of nothing."""
        margins = {}
        for name, value in measures.items():
            try:
                margins[name] = float(value)
            except (TypeError, ValueError) as error:
                raise InputError(f"measure {name}: the margin must be a number, got {value!r}") from error
            if not margins[name] > 0:
                raise InputError(f"measure {name}: the margin must be above 0, got {value}")
            self._check_measure(name)
        return margins

    def _check_measure(self, name: str) -> None:
        kind, *parts = name.split("/")
        if kind == "ner":
            self._check_ner(name, parts)
        elif kind == "few_shot":
            self._check_few_shot(name, parts)
        elif name in ("prototypes", "fresh_head"):
            if not self.adaptation:
                raise InputError(f"measure {name}: needs `adaptation` in the study, such as {{episodes: 200}}")
        elif kind != "loss" or len(parts) > 1:
            raise InputError(f"no measure {name}: {NAMES}")

    def _check_ner(self, name: str, parts: list[str]) -> None:
        if not self.ner or len(parts) not in (2, 3):
            raise InputError(
                f"measure {name}: needs `ner` in the study, and is ner/MODE/TREEBANK or ner/MODE/TREEBANK/TEST"
            )
        sweep, _ = self.sweep_settings()
        mode, treebank, *test = parts
        if mode not in sweep.modes or treebank not in map(treebank_name, sweep.train_on):
            raise InputError(f"measure {name}: ner has no mode {mode} or does not train on {treebank}")
        _check_test(name, "ner", (test or [treebank])[0], sweep.evaluate_on)

    def _check_few_shot(self, name: str, parts: list[str]) -> None:
        if not self.few_shot or len(parts) not in (3, 4):
            raise InputError(
                f"measure {name}: needs `few_shot` in the study, and is few_shot/METHOD/K/TREEBANK or "
                "few_shot/METHOD/K/TREEBANK/TEST"
            )
        finetune, _ = self.few_shot_settings()
        method, shots, treebank, *test = parts
        if method not in finetune.few_shot_methods or shots not in map(str, finetune.shots):
            raise InputError(f"measure {name}: few_shot has no method {method} or no {shots} shots")
        if treebank not in map(treebank_name, self.treebanks):
            raise InputError(f"measure {name}: few_shot does not train on {treebank}")
        if test:
            _check_test(name, "few_shot", test[0], finetune.evaluate_on)


def _check_test(measure: str, section: str, test: str, evaluate_on: list[str]) -> None:
    if test not in map(treebank_name, TREEBANKS if evaluate_on == [ALL] else evaluate_on):
        raise InputError(f"measure {measure}: {section} has no test set {test}: add it to evaluate_on")


def few_shot_folder(run: Path, treebank: str) -> Path:
    """Folder of few-shot results in a run's folder."""
    return run / f"few_shot-{treebank_name(treebank)}"
