"""Fine-tuning, few shots, sweeps and prediction with entity classes of one's own, from the command line."""

import json

import pytest

from pico_maml.recipes import predict
from pico_maml.recipes.finetune import command as finetune
from pico_maml.recipes.sweep import command as sweep
from pico_maml.trainers import InputError

# Every word says what it is, so that a few epochs learn it.
SENTENCES = [
    ["Rome", "U-CITY"],
    ["sleeps", "O"],
    ["aspirin", "B-DRUG"],
    ["tablets", "L-DRUG"],
    ["work", "O"],
]


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with a column file of BILOU tags for each split, and a test set of spans that lacks a class."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    for split, count in (("train", 30), ("dev", 8), ("test", 8)):
        sentence = "".join(f"{i}\t{word}\t{tag}\n" for i, (word, tag) in enumerate(SENTENCES))
        (folder / f"{split}.tsv").write_text(f"{sentence}\n" * count)
    row = {"text": "Rome sleeps", "entities": [{"start": 0, "end": 4, "label": "TOWN"}]}
    (tmp_path / "spans.jsonl").write_text("".join(json.dumps(row) + "\n" for _ in range(10)))
    return folder


FORMAT = ["--token_column", "1", "--tag_column", "2", "--tag_scheme", "bilou", "--label_map", "TOWN=CITY"]
TRAIN = ["--use_cpu", "--disable_tqdm", "true", "--learning_rate", "1e-2", "--num_train_epochs", "4"]


def test_a_tagger_of_own_classes_learns_scores_and_predicts_them(pretrained, data, tmp_path):
    argv = ["--model", str(pretrained), "--treebank", str(data), "--output_dir", "tagger", *FORMAT, *TRAIN]
    results = finetune.main([*argv, "--evaluate_on", "spans.jsonl"])
    assert set(results["scores"]["test"]["classes"]) == {"CITY", "DRUG"}
    assert results["scores"]["test"]["f1"] == pytest.approx(1)
    assert results["scores"]["spans.jsonl"]["support"] == 1
    assert results["data"]["train"]["DRUG"] == 30
    labels = json.loads((tmp_path / "tagger" / "config.json").read_text())["id2label"]
    assert list(labels.values()) == ["O", "B-CITY", "I-CITY", "B-DRUG", "I-DRUG"]
    (tmp_path / "new.txt").write_text("Rome sleeps aspirin tablets work\n")
    predict.main(["--model", "tagger", "--input_file", "new.txt", "--output_file", "found.jsonl"])
    found = json.loads((tmp_path / "found.jsonl").read_text().splitlines()[0])["entities"]
    assert {entity["label"] for entity in found} == {"CITY", "DRUG"}


def test_few_shots_mention_every_own_class(pretrained, data):
    argv = ["--model", str(pretrained), "--treebank", str(data), "--output_dir", "shots", *FORMAT, "--use_cpu"]
    results = finetune.main([*argv, "--shots", "2", "--draws", "2", "--few_shot_methods", "prototypes"])
    assert {row["test"] for row in results["curve"]} == {"test"}


def test_a_sweep_has_the_classes_of_all_its_treebanks(pretrained, data, tmp_path):
    argv = ["--models", f"tiny/vanilla={pretrained}", "--train_on", str(data), "spans.jsonl", "--modes", "head"]
    sweep.main([*argv, "--evaluate_on", str(data), "--output_dir", "sweep", *FORMAT, *TRAIN])
    results = [json.loads(path.read_text()) for path in (tmp_path / "sweep" / "results").glob("*.json")]
    assert len(results) == 2
    assert all(set(next(iter(result["scores"].values()))["classes"]) >= {"CITY"} for result in results)


def test_a_test_set_with_other_classes_is_an_error_before_training(pretrained, data, tmp_path):
    argv = ["--model", str(pretrained), "--treebank", str(data), "--output_dir", "run", *FORMAT[:-2], *TRAIN]
    with pytest.raises(InputError, match=r"has the classes TOWN, but training has CITY, DRUG: map TOWN with"):
        finetune.main([*argv, "--evaluate_on", "spans.jsonl"])
    assert not (tmp_path / "run").exists()
