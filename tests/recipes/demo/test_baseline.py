from dataclasses import replace
from pathlib import Path

import pytest

from pico_maml.recipes.arguments.parser import parse
from pico_maml.recipes.demo.baseline import Baseline, Figures, beside, differences, recipe
from pico_maml.recipes.demo.outcome import Outcome
from pico_maml.recipes.pretrain.arguments import TYPES, PretrainArguments
from pico_maml.trainers.runs.json_files import write_json


def saved(*argv: str) -> dict:
    return PretrainArguments(*parse(TYPES, ["--config", "demo", *argv])).saved()


@pytest.fixture
def outcome(tmp_path: Path) -> Outcome:
    """A demo with 199.9 instead of the kept perplexity."""
    write_json(tmp_path / "arguments.json", saved() | {"corpus_hash": {"dataset": Baseline.read().corpus}})
    pretrained = {"held_out": [{"eval_perplexity": 4000.0}, {"eval_perplexity": 199.9}]}
    return Outcome(tmp_path, pretrained, "text", {"f1": 0.5})


def test_the_kept_figures_are_of_the_shipped_recipe():
    assert Baseline.read().recipe == recipe(), "the recipe has changed: make demo-baseline"
    assert "vocab_size" in recipe()
    assert "inner_lr" not in recipe()


def test_a_demo_is_shown_beside_the_kept_figures(outcome):
    kept = Baseline.read()
    title, perplexity, f1, _ = beside(outcome)
    assert title == "Beside the same without episodes (kept figures), and with --init_embeddings svd too"
    shown = [f"{figures.perplexity:,.1f}" for figures in (kept.vanilla, kept.counts)]
    assert perplexity.split() == ["perplexity", "199.9", "beside", shown[0], "and", shown[1]]
    assert f1.split()[3:] == ["0.50", "beside", f"{kept.vanilla.ner_f1:.2f}", "and", f"{kept.counts.ner_f1:.2f}"]


def test_another_python_has_other_prose(outcome):
    write_json(outcome.folder / "arguments.json", outcome.arguments() | {"corpus_hash": {"dataset": "python 2.7.0"}})
    assert "on the prose of python 3." in beside(outcome)[0]
    assert "not quite that of python 2.7.0" in beside(outcome)[0]


def test_a_demo_without_episodes_stands_alone(outcome):
    write_json(outcome.folder / "arguments.json", outcome.arguments() | {"hybrid_ratio": 0})
    assert beside(outcome) == []


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        ((), []),
        (("--config", "episodes/classes"), []),
        (("--hybrid_ratio=0.5", "--eval_episodes=3", "--output_dir=x"), []),
        (("--seed=1", "--adam_beta2=0.9"), ["adam_beta2", "seed"]),
    ],
)
def test_which_arguments_make_another_run(argv, names):
    assert differences(saved(*argv)) == names


def test_figures_of_a_demo(outcome):
    better = replace(outcome, ner={"f1": 0.6})
    made = Baseline.of(outcome, better)
    assert (made.vanilla, made.counts) == (Figures(199.9, 0.5), Figures(199.9, 0.6))
    assert made.corpus == Baseline.read().corpus
