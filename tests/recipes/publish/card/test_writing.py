import json

import pytest
from published_run import settings

from pico_maml.recipes.publish.card.writing import write_card
from pico_maml.recipes.publish.queue import PublishQueue
from pico_maml.recipes.publish.revision import revision_folder
from pico_maml.trainers.runs.json_files import read_json


def test_card_states_size_results_arguments_and_licence(entry, tmp_path):
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


@pytest.mark.parametrize("init_from", [None, "runs/a"])
def test_card_of_a_run_that_went_on_from_another_says_who_held_out_the_text(init_from, run_folder, tmp_path):
    (run_folder / "arguments.json").write_text(json.dumps({"dataset": "lab/books", "init_from": init_from}))
    queue = PublishQueue(run_folder)
    queue.freeze(run_folder / "checkpoint-4", 4)
    write_card(tmp_path, queue.waiting()[0], settings())
    card = (tmp_path / "README.md").read_text()
    assert "Held-out text, step 4: perplexity" in card
    assert ("This run held it out; the run started from trained weights." in card) is (init_from is not None)


def test_card_of_another_class_names_it_and_its_base_and_needs_no_remote_code(run_folder, tmp_path):
    checkpoint = run_folder / "checkpoint-4"
    config = read_json(checkpoint / "config.json") | {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "meta_head.safetensors").touch()
    (run_folder / "arguments.json").write_text(json.dumps({"dataset": "lab/books", "init_from": "lab/gpt2@v1"}))
    queue = PublishQueue(run_folder)
    queue.freeze(checkpoint, 4)
    folder = revision_folder(queue.waiting()[0], settings())
    text = (folder / "README.md").read_text()
    assert "A `GPT2LMHeadModel` of 4,096 parameters, whose weights come from [lab/gpt2]" in text
    assert "base_model: lab/gpt2" in text
    assert "trust_remote_code" not in text
    assert read_json(folder / "config.json") == config
    assert (folder / "meta_head.safetensors").exists()
    assert not list(folder.glob("*.py"))


def test_same_entry_gives_the_same_bytes(entry, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_card(tmp_path / folder, entry, settings())
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_absolute_paths_are_shortened_to_their_last_part(run_folder, tmp_path):
    (run_folder / "arguments.json").write_text(
        json.dumps({"dataset": "/home/ada/secret/books.txt", "task_files": ["/home/ada/secret/tasks.jsonl"]})
    )
    queue = PublishQueue(run_folder)
    queue.freeze(run_folder / "checkpoint-4", 4)
    write_card(tmp_path, queue.waiting()[0], settings())
    text = (tmp_path / "README.md").read_text()
    assert "books.txt" in text
    assert '["tasks.jsonl"]' in text
    assert "secret" not in text


def test_card_of_a_checkpoint_loads_that_revision(run_folder, tmp_path):
    queue = PublishQueue(run_folder)
    queue.freeze(run_folder / "checkpoint-2", 2)
    write_card(tmp_path, queue.waiting()[0], settings(publish_main="best"))
    text = (tmp_path / "README.md").read_text()
    assert 'from_pretrained("ada/pico", revision="step-2", trust_remote_code=True)' in text
    assert "--model ada/pico@step-2 " in text
    assert "These are the weights of a run after 2 optimizer steps." in text
    assert "`main` holds the one with the lowest held-out loss" in text
    assert "Held-out text, step 2: perplexity 20.08, next-token loss 3.0000 nats a token." in text


@pytest.mark.parametrize(("algorithm", "tagged"), [("protonet", True), ("direct", False)])
def test_card_of_a_model_of_class_episodes_says_what_they_were(algorithm, tagged, run_folder, tmp_path):
    episode = {"hybrid_ratio": 0.5, "episode_classes": "clusters", "meta_algorithm": algorithm}
    config = json.loads((run_folder / "config.json").read_text()) | {"episode": episode}
    (run_folder / "config.json").write_text(json.dumps(config))
    (run_folder / "word_classes.tsv").write_text("word\tclass\tcount\na\t0\t9\nb\t1\t8\n")
    queue = PublishQueue(run_folder)
    queue.freeze(run_folder, 4, final=True)
    write_card(tmp_path, queue.waiting()[0], settings())
    text = (tmp_path / "README.md").read_text()
    assert f"episodes that tell which class a word belongs to (algorithm `{algorithm}`)" in text
    assert "first-order MAML on subset-masked" not in text
    assert ("\n- maml\n" in text) == tagged
    assert (queue.waiting()[0].state / "run" / "word_classes.tsv").exists(), "it goes to the Hub"


@pytest.mark.parametrize(("share", "said"), [(0.3, "A share of 0.3"), (1.0, "All")])
def test_card_of_a_model_that_saw_labelled_tasks_names_them(share, said, run_folder, tmp_path):
    episode = {
        "hybrid_ratio": 0.5,
        "meta_algorithm": "maml",
        "task_classes": {"topic": ["a", "b"], "mood": ["c", "d"]},
    }
    config = json.loads((run_folder / "config.json").read_text()) | {"episode": episode}
    (run_folder / "config.json").write_text(json.dumps(config))
    (run_folder / "arguments.json").write_text(json.dumps({"task_share": share}))
    queue = PublishQueue(run_folder)
    queue.freeze(run_folder, 4, final=True)
    write_card(tmp_path, queue.waiting()[0], settings())
    sentence = f"\n{said} of its episodes came from labelled tasks instead: mood, topic.\n"
    assert sentence in (tmp_path / "README.md").read_text()


def test_card_of_a_tagger_classifies_tokens(run_folder, tmp_path):
    result = {"treebank": "da_ddt", "mode": "head", "scores": {"test": {"f1": 0.5, "strict_f1": 0.5, "support": 5}}}
    (run_folder / "results.json").write_text(json.dumps(result))
    queue = PublishQueue(run_folder)
    queue.freeze(run_folder, 4, final=True)
    write_card(tmp_path, queue.waiting()[0], settings())
    text = (tmp_path / "README.md").read_text()
    assert "fine-tuned on da_ddt (the classifier alone) with pico-maml" in text
    assert 'pipeline("token-classification", name' in text
    assert "## Training" not in text
