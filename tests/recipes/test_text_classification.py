"""Fine-tuning to classify texts, few shots and prediction, from the command line."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from published_run import REPOSITORY, settings
from transformers import AutoModelForSequenceClassification, pipeline

from pico_maml import PicoConfig, PicoForCausalLM, PicoForSequenceClassification
from pico_maml.recipes import predict
from pico_maml.recipes.export import command as export
from pico_maml.recipes.finetune import command as finetune
from pico_maml.recipes.finetune.text_classification import print_scores
from pico_maml.recipes.publish.queue import PublishQueue
from pico_maml.recipes.publish.revision import revision_folder
from pico_maml.trainers import InputError

TASK = ["--task", "text-classification"]
TRAIN = [
    "--use_cpu",
    "--disable_tqdm",
    "true",
    "--learning_rate",
    "1e-2",
    "--num_train_epochs",
    "4",
    "--per_device_train_batch_size",
    "8",
]


WORD = {"good": "cd", "bad": "ef", "odd": "gh"}


def row(i: int) -> dict[str, str]:
    """A text whose last word but one says what it is."""
    label = list(WORD)[i % 3]
    return {"text": f"{'ab ' * (i % 4)}{WORD[label]} ij", "label": label}


@pytest.fixture(scope="module")
def base(tokenizer, tmp_path_factory) -> Path:
    """A language model that was not trained."""
    folder = tmp_path_factory.mktemp("classify") / "base"
    torch.manual_seed(0)
    shape = {"d_model": 32, "n_layers": 2, "attention_n_heads": 4, "attention_n_kv_heads": 2}
    config = PicoConfig(vocab_size=len(tokenizer), activation_hidden_dim=64, max_seq_len=64, **shape)
    PicoForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reviews(base) -> Path:
    """A folder with a CSV file to train on, a TSV file to choose on and a JSON lines file to test on."""
    folder = base.parent / "reviews"
    folder.mkdir()
    rows = [row(i) for i in range(72)]
    (folder / "train.csv").write_text("label,text\n" + "".join(f'{r["label"]},"{r["text"]}"\n' for r in rows[:48]))
    (folder / "dev.tsv").write_text("text\tlabel\n" + "".join(f"{r['text']}\t{r['label']}\n" for r in rows[48:60]))
    (folder / "test.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows[60:]))
    return folder


@pytest.fixture(scope="module")
def classifier(base, reviews) -> Path:
    folder = base.parent / "tuned"
    argv = [*TASK, "--model", str(base), "--dataset", str(reviews), "--output_dir", str(folder), *TRAIN]
    results = finetune.main(argv)
    assert results == json.loads((folder / "results.json").read_text())
    return folder


def test_a_separable_set_is_learnt(classifier, capsys):
    results = json.loads((classifier / "results.json").read_text())
    print_scores(results)
    printed = capsys.readouterr().out
    assert "test: macro-F1 1.000, accuracy 1.000, Matthews 1.000 (12 texts)" in printed
    assert "test: 12 of 12 texts are in train too" in printed
    test = results["scores"]["test"]
    assert (test["f1"], test["accuracy"], test["matthews"], test["support"]) == (1.0, 1.0, 1.0, 12)
    assert set(test["classes"]) == {"good", "bad", "odd"}
    assert results["data"]["train"] == {"texts": 48, "classes": {"bad": 16, "good": 16, "odd": 16}}
    assert results["data"]["test"]["also_in_train"] == 12
    assert results["baselines"]["bag_of_words"]["f1"] == 1.0
    assert results["baselines"]["majority"]["f1"] == pytest.approx(1 / 6)
    assert not list(classifier.glob("checkpoint-*"))


def test_predict_and_the_pipeline_give_the_same_labels(classifier, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text("ab cd ij\n\nef ij\n" + "gh " * 70 + "ij\n")
    source = ["--model", str(classifier), "--input_file", "in.txt"]
    predict.main([*source, "--output_file", "out.jsonl"])
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows[:3]] == ["good", None, "bad"]
    printed = capsys.readouterr().out
    assert "3 texts are in out.jsonl" in printed
    assert "1 texts are longer" in printed
    found = pipeline("text-classification", str(classifier))("ab cd ij")[0]
    assert found == {"label": "good", "score": pytest.approx(rows[0]["score"], abs=1e-4)}
    with pytest.raises(InputError, match=r"classifies texts: output_file must end with .jsonl, got out.iob2"):
        predict.main([*source, "--output_file", "out.iob2"])


def test_the_auto_class_and_an_export_hold_the_same_weights(classifier, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(classifier)
    assert type(model) is PicoForSequenceClassification
    assert model.config.id2label == {0: "bad", 1: "good", 2: "odd"}
    export.main(["--model", str(classifier), "--format", "hub", "--output_dir", str(tmp_path / "hub")])
    exported = AutoModelForSequenceClassification.from_pretrained(tmp_path / "hub")
    assert torch.equal(exported.score.weight, model.score.weight)
    auto_map = json.loads((tmp_path / "hub" / "config.json").read_text())["auto_map"]
    module, name = auto_map["AutoModelForSequenceClassification"].split(".")
    assert f"class {name}(" in (tmp_path / "hub" / f"{module}.py").read_text()


def saved_dataset(folder: Path) -> Path:
    """Splits of `datasets` with a ClassLabel that has an unused name, and a test split without labels."""
    names = ["odd", "unused", "good", "bad"]
    features = Features({"sentence": Value("string"), "kind": ClassLabel(names=names)})
    rows = [row(i) for i in range(30)]
    columns = {"sentence": [r["text"] for r in rows], "kind": [names.index(r["label"]) for r in rows]}
    train = Dataset.from_dict(columns, features=features)
    test = Dataset.from_dict({"sentence": ["ab"], "kind": [-1]}, features=features)
    DatasetDict(train=train, validation=train, test=test).save_to_disk(folder)
    return folder


def test_a_head_on_all_layers_of_a_frozen_decoder_from_a_class_label(base, tmp_path, caplog):
    data = ["--dataset", str(saved_dataset(tmp_path / "data")), "--text_column", "sentence", "--label_column", "kind"]
    options = ["--mode", "head", "--features", "mix", "--pooling", "mean", "--head_solver", "lbfgs"]
    argv = [*TASK, "--model", str(base), *data, "--output_dir", str(tmp_path / "head"), *options, "--use_cpu"]
    results = finetune.main(argv)
    assert "its test split has no labels and is left out" in caplog.text
    assert set(results["scores"]) == {"validation"}
    assert results["scores"]["validation"]["f1"] == 1.0
    assert results["penalty"] is not None
    tuned = AutoModelForSequenceClassification.from_pretrained(tmp_path / "head")
    assert list(tuned.config.id2label.values()) == ["odd", "good", "bad"]
    assert (tuned.config.classifier_pooling, tuned.config.classifier_features) == ("mean", "all")
    before = PicoForCausalLM.from_pretrained(base)
    assert torch.equal(tuned.pico_decoder.layers[0].swiglu.w_0.weight, before.pico_decoder.layers[0].swiglu.w_0.weight)


def test_few_shots_give_a_curve_over_draws(base, reviews, tmp_path, capsys):
    methods = ["--few_shot_methods", "linear", "prototypes", "full"]
    argv = [*TASK, "--model", str(base), "--dataset", str(reviews), "--output_dir", str(tmp_path / "few"), *TRAIN]
    options = ["--pooling", "mean", "--num_train_epochs", "1"]
    results = finetune.main([*argv, "--shots", "1", "5", "--draws", "2", *methods, *options])
    assert results == json.loads((tmp_path / "few" / "results.json").read_text())
    assert {(row["method"], row["shots"], row["draws"]) for row in results["curve"]} == {
        (method, shots, 2) for method in ("linear", "prototypes", "full") for shots in (1, 5)
    }
    (best,) = (row["f1"] for row in results["curve"] if (row["method"], row["shots"]) == ("linear", 5))
    assert best > 0.8
    assert {row["sentences"] for row in results["few_shot"]} == {3, 15}
    assert all(row["accuracy"] >= row["matthews"] for row in results["few_shot"])
    assert "test, full, K = 5: " in capsys.readouterr().out
    with pytest.raises(
        InputError, match=r"17 shots, but train has fewer texts of bad \(16\), good \(16\), odd \(16\)"
    ):
        finetune.main([*argv, "--output_dir", str(tmp_path / "x"), "--shots", "17"])


def test_a_published_classifier_has_a_card_with_its_scores_and_a_snippet_that_runs(classifier, tmp_path):
    shutil.copytree(classifier, tmp_path / "run")
    queue = PublishQueue(tmp_path / "run")
    queue.freeze(tmp_path / "run", 1, final=True)
    published = revision_folder(queue.waiting()[0], settings())
    card = (published / "README.md").read_text()
    assert "classifies texts as bad, good, odd" in card
    assert "pipeline_tag: text-classification" in card
    assert "| test | 1.000 | 1.000 | 1.000 | 12 |" in card
    assert "| test, bag of words baseline | 1.000 |" in card
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(snippet.replace(REPOSITORY, str(published)), names)
    assert names["classifier"]("ab ef ij")[0]["label"] == "bad"


WRONG = {
    "no such column": ({"train.csv": "text,kind\na,b\n"}, [], r"line 2: no column 'label', only 'text', 'kind'"),
    "one column twice": ({"train.csv": "text,label\na,b\n"}, ["--label_column", "text"], "are both 'text'"),
    "one class": ({"train.csv": "text,label\na,b\nc,b\n"}, [], "train has no label but b"),
    "labels of test alone": (
        {"train.csv": "text,label\na,1\nc,2\n", "test.csv": "text,label\na,3\na,x\n"},
        [],
        "test has labels that train lacks, 3, x",
    ),
    "a row without a label": (
        {"train.csv": "text,label\na,b\nc,\nd,e\n"},
        [],
        r"1 of 3 rows have no label \(.*train.csv, line 3\)",
    ),
    "a row without a text": ({"train.jsonl": '{"text": " ", "label": 1}\n'}, [], "1 of 1 rows have no text"),
    "too many columns": ({"train.csv": "text,label\na,b,c\n"}, [], "line 2: 3 columns, but the first line names 2"),
    "a quote in CSV": ({"train.csv": 'text,label\n"a" b,c\n'}, [], "line 2.*quote the text as CSV does"),
    "no JSON": ({"train.jsonl": "text\n"}, [], "line 1: no JSON"),
    "no object": ({"train.jsonl": "[1]\n"}, [], "line 1: expected an object"),
    "a fraction": ({"train.jsonl": '{"text": "a", "label": 0.5}\n'}, [], "label must be a string or a whole number"),
    "no split": ({"some.csv": "text,label\n"}, [], "no file whose name ends with train, dev or test"),
    "no train": ({"test.csv": "text,label\na,b\n"}, [], "has no train split, only test"),
    "few rows": ({"a.csv": "text,label\na,b\n"}, ["--dataset", "data/a.csv"], "no label has 10 texts"),
    "another format": ({"a.txt": "a\n"}, ["--dataset", "data/a.txt"], "ends with .jsonl, .json, .csv, .tsv"),
    "no such folder": ({}, ["--dataset", "nowhere"], "no file or folder 'nowhere'"),
    "Latin-1": ({"train.csv": "text,label\ncaf\xe9,b\n"}, [], "not UTF-8 at byte 15"),
    "an argument of NER": ({}, ["--tag_decoding", "iob2"], "--tag_decoding is not an argument"),
    "another task": ({}, ["--task", "pos"], "task must be one of ner, text-classification, got 'pos'"),
    "another pooling": ({}, ["--pooling", "max"], "pooling must be one of last, mean, got 'max'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_inputs_are_one_clear_error_before_anything_is_written(base, tmp_path, monkeypatch, name):
    files, options, message = WRONG[name]
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    for file, content in files.items():
        Path("data", file).write_bytes(content.encode("latin-1"))
    argv = [*TASK, "--model", str(base), "--output_dir", "out", "--use_cpu", "--dataset", "data", *options]
    with pytest.raises(InputError, match=message):
        finetune.main(argv)
    assert not Path("out").exists()


def test_the_task_may_stand_in_a_file_and_has_its_own_help(base, reviews, tmp_path, capsys):
    config = tmp_path / "task.yaml"
    config.write_text(f"task: text-classification\nmodel: {base}\ndataset: {reviews}\npooling: middle\n")
    with pytest.raises(InputError, match="pooling must be one of last, mean, got 'middle'"):
        finetune.main(["--config", str(config)])
    with pytest.raises(SystemExit):
        finetune.main([*TASK, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 100
    assert any(line.startswith("  --label_column") for line in lines)
