import json

import pytest
from huggingface_hub import ModelCard
from published_run import settings

from pico_maml.recipes.publish.card.facts import RunFacts
from pico_maml.recipes.publish.card.text import write_card
from pico_maml.recipes.publish.queue import PublishQueue
from pico_maml.trainers.runs.learning_dynamics import DynamicsFile, Row

ACCURACY = {"mean": 0.5, "low": 0.4, "high": 0.6}


@pytest.fixture
def entry(run_folder):
    """A finished run with everything that a card can show."""
    dynamics = DynamicsFile(run_folder / "learning_dynamics.jsonl")
    for step in (2, 4):
        dynamics.append(step, 64 * step, [Row("effective_rank", 0.1 * step, layer=0), Row("cka", 0.5, layer=0)])
    adapted = {"n_way": 4, "k_shot": 2, "chance": 0.25, "prototypes": ACCURACY, "fresh": [ACCURACY], "trained": None}
    (run_folder / "results.json").write_text(json.dumps({"steps": 4, "adaptation": adapted}))
    ner = {"treebank": "da_ddt", "mode": "full", "baselines": {"gazetteer": 0.37}}
    scores = {"f1": 0.53, "strict_f1": 0.55, "support": 565}
    (run_folder / "ner").mkdir()
    (run_folder / "ner" / "results.json").write_text(json.dumps(ner | {"scores": {"test": scores}}))
    queue = PublishQueue(run_folder)
    queue.freeze(run_folder, 4, final=True)
    return queue.waiting()[0]


def test_the_hub_shows_the_evaluation(entry, tmp_path):
    write_card(tmp_path, entry, settings())
    data = ModelCard.load(tmp_path / "README.md").data
    found = {(r.task_type, r.dataset_name, r.metric_type): r.metric_value for r in data.eval_results}
    assert found == {
        ("text-generation", "held-out text of lab/books", "perplexity"): round(2.718**3.5, 4),
        ("text-generation", "held-out text of lab/books", "loss"): 3.5,
        ("other", "4-way 2-shot episodes of held-out words of lab/books", "accuracy"): 0.5,
        ("token-classification", "da_ddt", "f1"): 0.53,
    }
    assert data.datasets == ["lab/books"]
    assert data.license == "apache-2.0"


def test_it_says_what_the_run_was(entry, tmp_path):
    write_card(tmp_path, entry, settings(publish_license="mit"))
    text = (tmp_path / "README.md").read_text()
    for part in (
        "4,096 parameters",  # without the head of the episodes
        "`learning_rate` | `0.0003`",
        "| test | 0.530 | 0.550 | 565 |",
        "| test, gazetteer baseline | 0.370 |",
        "class prototypes, no head | 50.0% (40.0% to 60.0%)",
        "![Learning dynamics, means over each layer](figures/learning_dynamics.png)",
        "Licence: mit",
        "Demitri Africa",
    ):
        assert part in text, part
    assert (tmp_path / "figures" / "curves.png").exists()
    assert (tmp_path / "figures" / "learning_dynamics.png").exists()


def test_the_same_run_has_the_same_card(entry, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_card(tmp_path / folder, entry, settings())
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_of_earlier_weights_it_says_nothing_later(entry):
    facts = RunFacts.of_entry(entry, weights_step=2)
    assert facts.newest("eval_next_token_loss") == 3.0
    assert facts.results == {}
    assert facts.curve("eval_next_token_loss") == ([2, 4], [3.0, 3.5])


def test_paths_of_this_machine_stay_here(run_folder, tmp_path):
    (run_folder / "arguments.json").write_text(json.dumps({"dataset": "/home/ada/secret/books.txt", "seed": 1}))
    queue = PublishQueue(run_folder)
    queue.freeze(run_folder / "checkpoint-4", 4)
    write_card(tmp_path, queue.waiting()[0], settings())
    text = (tmp_path / "README.md").read_text()
    assert "books.txt" in text
    assert "secret" not in text
