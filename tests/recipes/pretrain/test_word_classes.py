"""Word classes: made once, kept, read again, and counted as compute."""

import json
import shutil

import forked
import pytest
from pretrain_run import argv
from word_language import CLASSES, vocabulary

from pico_maml.recipes.evaluate import command as evaluate
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.recipes.pretrain import word_classes
from pico_maml.trainers import InputError
from pico_maml.trainers.word_classes import WordClasses

CLUSTERS = {
    "episode_classes": "clusters",
    "class_count": CLASSES,
    "readout": "word",
    "hybrid_mode": "add",
    "meta_algorithm": "direct",
    "hybrid_ratio": 1,
    "held_out_words": 0.2,
    "eval_episodes": 0,
}


@pytest.fixture(scope="module")
def whole(language_corpus, tmp_path_factory):
    """A run with classes from its text."""
    folder = tmp_path_factory.mktemp("classes") / "run"
    pretrain.main(argv(folder, language_corpus, **CLUSTERS))
    return folder


def last_log(folder) -> dict:
    entries = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [entry for entry in entries if "counting_cpu_seconds" in entry][-1]


def test_classes_are_kept_in_the_run_and_in_every_checkpoint_with_what_they_cost(whole):
    classes, table = WordClasses.load(whole), (whole / "word_classes.tsv").read_bytes()
    of_word = dict(zip(classes.spellings, classes.classes.tolist(), strict=True))
    assert {len({of_word[word] for word in words}) for words in vocabulary("latin")} == {1}
    assert len(set(of_word.values())) == CLASSES
    for step in (2, 4):
        assert (whole / f"checkpoint-{step}/word_classes.tsv").read_bytes() == table
    record = json.loads((whole / "word_classes.json").read_text())
    assert (record["words"], record["classes"], record["min_count"]) == (100, CLASSES, 6)
    assert record["tokens"] > 6000
    assert [len(words) for words in record["examples"].values()] == [12] * CLASSES
    assert record["seconds"] > 0
    last = last_log(whole)
    assert last["training_cpu_seconds"] > last["counting_cpu_seconds"] == record["seconds"]


def test_a_resumed_run_reads_its_classes_and_counts_nothing_again(whole, language_corpus, tmp_path, monkeypatch):
    half = tmp_path / "half"
    shutil.copytree(whole, half)
    shutil.rmtree(half / "checkpoint-4")
    for name in ("results.json", "model.safetensors", "word_classes.tsv"):
        (half / name).unlink()
    monkeypatch.setattr(word_classes, "make_classes", None)
    pretrain.main(argv(half, language_corpus, resume=True, **CLUSTERS))
    assert (half / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert (half / "word_classes.tsv").read_bytes() == (whole / "word_classes.tsv").read_bytes()
    record = json.loads((half / "word_classes.json").read_text())
    assert last_log(half)["counting_cpu_seconds"] == record["seconds"], "the checkpoint has it"


def test_a_run_that_ended_before_its_first_checkpoint_starts_again_with_its_classes_and_their_cost(
    whole, language_corpus, tmp_path, monkeypatch
):
    again = tmp_path / "again"
    shutil.copytree(whole, again)
    for step in (2, 4):
        shutil.rmtree(again / f"checkpoint-{step}")
    (again / "results.json").unlink()
    record = json.loads((again / "word_classes.json").read_text()) | {"seconds": 1e6}
    (again / "word_classes.json").write_text(json.dumps(record))
    monkeypatch.setattr(word_classes, "make_classes", None)
    pretrain.main(argv(again, language_corpus, resume=True, **CLUSTERS))
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert last_log(again)["counting_cpu_seconds"] == 1e6


def test_a_file_of_ones_own_is_used_and_copied(language_corpus, tmp_path):
    mine = tmp_path / "mine.tsv"
    even, odd, *_ = vocabulary("latin")
    mine.write_text("word\tclass\n" + "".join([f"{w}\teven\n" for w in even] + [f"{w}\todd\n" for w in odd]))
    pretrain.main(argv(tmp_path / "run", language_corpus, **CLUSTERS | {"episode_classes": mine}))
    assert WordClasses.load(tmp_path / "run").labels == ["even", "odd"]
    assert last_log(tmp_path / "run")["episodes"] == 4


def test_two_processes_have_the_classes_that_one_makes(whole, language_corpus, tmp_path):
    arguments = argv(tmp_path / "out", language_corpus, **CLUSTERS | {"per_device_train_batch_size": 2})
    forked.run(pretrain.main, arguments, log=tmp_path / "log", processes=2)
    assert (tmp_path / "out" / "word_classes.tsv").read_bytes() == (whole / "word_classes.tsv").read_bytes()
    one, two = last_log(whole), last_log(tmp_path / "out")
    for name in ("query_loss", "next_token_loss", "largest_class_share"):
        assert two[name] == pytest.approx(one[name], rel=1e-3), name


def test_a_model_of_class_episodes_is_evaluated_on_word_episodes(whole, language_corpus):
    text = ["--dataset", language_corpus, "--block_size=48", "--eval_blocks=0", "--eval_fraction=0.1"]
    shape = ["--episodes=2", "--n_way=2", "--k_shot=1", "--episode_window=8", "--word_max_frequency=1"]
    results = evaluate.main(["--model", str(whole), *text, *shape, "--output_file", str(whole.parent / "scores.json")])
    assert results["episode"]["readout"] == "previous"
    (adaptation,) = results["adaptation"]
    assert adaptation["prototypes"]["mean"] > 0
    assert not adaptation["trained"], "its head tells other classes"


def test_too_few_words_are_one_error_before_anything_is_written(language_corpus, tmp_path):
    with pytest.raises(InputError, match="class_count is 500, but only 100 words"):
        pretrain.main(argv(tmp_path / "run", language_corpus, **CLUSTERS | {"class_count": 500}))
    with pytest.raises(InputError, match=r"no.* cannot be read \(No such file"):
        pretrain.main(argv(tmp_path / "run", language_corpus, **CLUSTERS | {"episode_classes": "no.tsv"}))
    assert not (tmp_path / "run").exists()
