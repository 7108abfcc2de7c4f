"""Every argument of every command with a wrong type and wrong values: one clear error, or a parsed value."""

from dataclasses import MISSING, fields
from typing import Any, get_type_hints

import pytest
from transformers import TrainingArguments

from pico_maml.recipes import ner_results, predict
from pico_maml.recipes.arguments.corpus import CorpusArguments
from pico_maml.recipes.arguments.help import declaring_class
from pico_maml.recipes.arguments.parser import mapping_names, parse
from pico_maml.recipes.benchmark.command import BenchmarkArguments
from pico_maml.recipes.compare.arguments import CompareArguments
from pico_maml.recipes.dynamics.command import TYPES as DYNAMICS
from pico_maml.recipes.evaluate.arguments import EvaluateArguments
from pico_maml.recipes.export.command import ExportArguments
from pico_maml.recipes.finetune.ner import TYPES as FINETUNE
from pico_maml.recipes.finetune.text_classification import TYPES as CLASSIFY
from pico_maml.recipes.prepare.arguments import PrepareArguments
from pico_maml.recipes.pretrain.arguments import TYPES as PRETRAIN
from pico_maml.recipes.publish.command import TYPES as PUBLISH
from pico_maml.recipes.report.command import ReportArguments
from pico_maml.recipes.scale.command import ScaleArguments
from pico_maml.recipes.sweep.arguments import TYPES as SWEEP
from pico_maml.trainers import InputError
from pico_maml.trainers.ner.analysis.sweep_tables import Comparison

COMMANDS: dict[str, tuple[type, ...]] = {
    "benchmark": (BenchmarkArguments,),
    "compare": (CompareArguments,),
    "dynamics": DYNAMICS,
    "evaluate": (EvaluateArguments, CorpusArguments),
    "export": (ExportArguments,),
    "finetune": FINETUNE,
    "finetune --task text-classification": CLASSIFY,
    "ner_results": (ner_results.NERResultsArguments, Comparison),
    "predict": (predict.PredictArguments,),
    "prepare": (PrepareArguments,),
    "pretrain": PRETRAIN,
    "publish": PUBLISH,
    "report": (ReportArguments, Comparison),
    "scale": (ScaleArguments,),
    "sweep": SWEEP,
}
PATHS = (
    *("base", "benchmark", "compare", "dataset", "eval_dataset", "eval_sources", "init_from", "input_file", "model"),
    *("output", "output_dir", "run", "runs", "sweeps", "tokenizer", "treebank", "uner_dir"),
)
REQUIRED = {
    "models": "a/b=c",
    "output_file": "a.jsonl",
    "format": "hub",
    "budgets": "1",
    "arms": '{"a": {}, "b": {}}',
    "measures": "{}",
}


def required(types: tuple[type, ...]) -> dict[str, str]:
    """A right value of each argument that has no default."""
    names = [f.name for cls in types for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    return {name: REQUIRED.get(name, "x") for name in (*names, "models") if any_has(types, name)}


def any_has(types: tuple[type, ...], name: str) -> bool:
    return any(f.name == name for cls in types for f in fields(cls))


def own_arguments(command: str) -> dict[str, str]:
    """Names and types of a command's arguments, as text; those of transformers once, for pretrain."""
    hints: dict[str, str] = {}
    for cls in COMMANDS[command]:
        for argument in fields(cls):
            ours = declaring_class(cls, argument.name) is not TrainingArguments
            if argument.init and (ours or command == "pretrain"):
                hints[argument.name] = str(get_type_hints(cls)[argument.name])
    return hints


def attempt(command: str, name: str, value: str) -> Any:
    """The parsed value of one argument, or the InputError."""
    arguments = required(COMMANDS[command]) | {name: value}
    try:
        parsed = parse(COMMANDS[command], [f"--{key}={text}" for key, text in arguments.items()], prog=command)
    except (InputError, FileNotFoundError) as error:
        return error
    return next(vars(group)[name] for group in parsed if name in vars(group))


@pytest.fixture(autouse=True)
def cpu(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_wrong_type_or_an_empty_value_of_any_argument_is_one_clear_error(command):
    mappings = mapping_names(COMMANDS[command])
    for name, hint in own_arguments(command).items():
        if "str" not in hint or name in mappings:
            error = attempt(command, name, "nonsense")
            assert isinstance(error, InputError), f"{name}={error!r}"
            assert name in str(error)
        if "str" in hint and name not in ("subfolder", "fsdp", "debug"):
            assert f"{name} is empty" in str(attempt(command, name, "")), name


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_no_number_and_a_negative_one_are_an_error_or_parsed(command):
    for name, hint in own_arguments(command).items():
        if "float" in hint and "str" not in hint:
            error = attempt(command, name, "nan")
            assert isinstance(error, InputError), f"{name}={error}"
            assert name in str(error)
        elif "int" in hint and "str" not in hint:
            result = attempt(command, name, "-1")
            assert isinstance(result, InputError | int | list), f"{name}={result!r}"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_word_for_any_text_is_an_error_or_parsed_and_its_home_folder_is_expanded(command, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    mappings = mapping_names(COMMANDS[command])
    for name, hint in own_arguments(command).items():
        if "str" not in hint or name in mappings:
            continue
        word = attempt(command, name, "nonsense")
        assert isinstance(word, InputError | str | list) or "SchedulerType" in hint, f"{name}={word!r}"
        path = attempt(command, name, "~/x")
        assert "~" not in str(path), f"{name}={path!r}"
        if name in PATHS:
            assert path in ("/home/someone/x", ["/home/someone/x"]), f"{name}={path!r}"
