"""A finished model is measured on what its run held out, through the command line."""

import json
import shutil

import pytest
from pretrain_run import argv

from pico_maml.callbacks import load_dynamics
from pico_maml.recipes.arguments.corpus import CorpusArguments
from pico_maml.recipes.arguments.parser import run
from pico_maml.recipes.arguments.training_text import EVALUATION, HELD_OUT, OTHER, RELATIONS, UNKNOWN, relation_to_run
from pico_maml.recipes.dynamics import command as dynamics
from pico_maml.recipes.evaluate import command as evaluate
from pico_maml.recipes.export import command as export
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import load_documents, split_held_out


@pytest.fixture
def documents_read(monkeypatch):
    """The held-out documents that a command reads, one set a call."""
    read = []
    held_out_blocks = CorpusArguments.held_out_blocks

    def spy(self, documents, tokenizer):
        read.append({row["text"] for row in documents})
        return held_out_blocks(self, documents, tokenizer)

    monkeypatch.setattr(CorpusArguments, "held_out_blocks", spy)
    return read


@pytest.fixture(scope="module")
def other_corpus(text, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("other") / "other.jsonl"
    path.write_text("".join(json.dumps({"story": row[::-1]}) + "\n" for row in text))
    return str(path)


def measure(model, *more):
    return evaluate.main(["--model", str(model), "--episodes=0", *more])


def test_corpus_split_and_block_size_are_those_of_the_run(pretrained, corpus, held_out, documents_read):
    expected = measure(pretrained, *held_out)
    for model in (pretrained, pretrained / "checkpoint-4"):
        results = measure(model, "--eval_blocks=24")
        assert results["next_token_loss"] == expected["next_token_loss"]
        assert results["text"]["name"] == f"10 % of {corpus}"
        assert results["text"]["relation"] == HELD_OUT
    assert documents_read[0] == documents_read[1] == documents_read[2]


def test_another_fraction_reads_no_document_that_was_trained_on(pretrained, documents_read, capsys):
    measure(pretrained)
    results = measure(pretrained, "--eval_fraction=0.05")
    assert results["text"]["relation"] == HELD_OUT
    whole, inside = documents_read
    assert inside < whole
    with pytest.raises(SystemExit):
        run(lambda: measure(pretrained, "--eval_fraction=0.2"))
    assert capsys.readouterr().err.endswith(
        "error: eval_fraction is 0.2, but the run held out 0.1 of its corpus and trained on the rest: lower it, or "
        "name no text, to read what the run held out\n"
    )
    assert len(documents_read) == 2, "nothing was read"


def test_whole_held_out_part_is_read_by_default(pretrained, tmp_path, capsys):
    shutil.copytree(pretrained, tmp_path / "run")
    record = tmp_path / "run" / "arguments.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"eval_blocks": 4}))
    whole = measure(tmp_path / "run")
    count = whole["text"]["blocks"]
    assert count > 4, "the limit is that of evaluation while training"
    assert whole["text"]["all_blocks"]
    assert f"all {count} blocks" in capsys.readouterr().out
    streamed = measure(tmp_path / "run", "--streaming=true")
    assert whole["tokens"] == 48 * count == streamed["tokens"]
    part = measure(tmp_path / "run", "--eval_blocks=3")
    assert (part["text"]["blocks"], part["text"]["all_blocks"], part["tokens"]) == (3, False, 3 * 48)
    assert "the first 3 blocks" in capsys.readouterr().out


def test_another_corpus_is_named_so(pretrained, other_corpus, capsys):
    results = measure(pretrained, "--dataset", other_corpus, "--text_column=story", "--eval_fraction=0.5")
    assert results["text"]["relation"] == OTHER
    assert f"text: 50 % of {other_corpus}, another corpus than the run's; all" in capsys.readouterr().out
    assert measure(pretrained, "--eval_dataset", other_corpus, "--text_column=story")["text"]["relation"] == OTHER


def test_model_without_a_record_claims_nothing(pretrained, held_out, tmp_path, capsys):
    shutil.copytree(pretrained, tmp_path / "copy", ignore=shutil.ignore_patterns("arguments.json"))
    results = measure(tmp_path / "copy", *held_out)
    assert results["text"]["relation"] == UNKNOWN
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("text: "))
    assert "training text unknown" in line
    assert "held" not in line


def test_resumed_run_and_its_export_have_the_record(pretrained, corpus, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(pretrained, folder)
    pretrain.main([*argv(folder, corpus, max_steps=6), "--resume"])
    assert measure(folder)["text"]["relation"] == HELD_OUT
    for kind in ("hub", "published"):
        export.main(["--model", str(folder), "--format", kind, "--output_dir", str(tmp_path / kind)])
        assert measure(tmp_path / kind, "--tokenizer", str(folder))["text"]["relation"] == HELD_OUT


def test_run_that_goes_on_from_another_is_checked_against_both(pretrained, corpus, other_corpus, tmp_path):
    changes = {"init_from": pretrained, "dataset": other_corpus, "text_column": "story", "eval_fraction": 0.3}
    pretrain.main(argv(tmp_path / "second", **({"corpus": corpus} | changes), eval_episodes=0))
    assert measure(tmp_path / "second")["text"]["relation"] == HELD_OUT
    with pytest.raises(InputError, match=r"eval_fraction is 0.3, but the run held out 0.1 of its corpus"):
        measure(tmp_path / "second", "--dataset", corpus)


def test_run_cannot_go_on_from_a_model_that_was_trained_on_its_held_out_text(pretrained, corpus, tmp_path):
    with pytest.raises(InputError, match=r"init_from .*: eval_fraction is 0\.2, but the run held out 0\.1"):
        pretrain.main(argv(tmp_path / "second", corpus, init_from=pretrained, eval_fraction=0.2))
    assert not (tmp_path / "second").exists()


def test_evaluation_corpus_of_the_run_is_read_and_named_so(corpus, tmp_path):
    folder = tmp_path / "run"
    changes = {"dataset": corpus, "eval_dataset": corpus.replace("text.txt", "validation.txt")}
    shutil.copy(corpus, changes["eval_dataset"])
    pretrain.main(argv(folder, **({"corpus": corpus} | changes)))
    results = measure(folder)
    assert results["text"]["name"] == changes["eval_dataset"]
    assert results["text"]["relation"] == EVALUATION
    shutil.move(corpus, corpus + ".away")
    try:
        assert measure(folder)["perplexity"] == results["perplexity"], "the training corpus is not opened"
    finally:
        shutil.move(corpus + ".away", corpus)
    for more in (["--eval_fraction=0.05"], ["--dataset", corpus]):
        with pytest.raises(InputError, match=r"the run trained on all of .* and was evaluated on .*validation\.txt"):
            measure(folder, *more)
    with pytest.raises(InputError, match="is text that the run trained on: name no text"):
        measure(folder, "--eval_dataset", corpus)


def test_corpus_that_moved_has_an_error_with_a_remedy_and_counts_as_another(corpus, tmp_path):
    for name in ("before.txt", "after.txt"):
        shutil.copy(corpus, tmp_path / name)
    pretrain.main(argv(tmp_path / "run", tmp_path / "before.txt", max_steps=2))
    (tmp_path / "before.txt").unlink()
    with pytest.raises(InputError, match=r"before\.txt.*; --dataset or --eval_dataset names another text"):
        measure(tmp_path / "run")
    results = measure(tmp_path / "run", "--dataset", str(tmp_path / "after.txt"))
    assert results["text"]["relation"] == OTHER
    assert results["text"]["name"] == f"10 % of {tmp_path / 'after.txt'}", "the share is still that of the run"


def test_source_that_was_trained_on_is_named(pretrained, corpus, capsys):
    results = measure(pretrained, "--eval_sources", corpus, "--eval_blocks=3")
    assert results["text"]["trained_sources"] == ["text"]
    assert "trained on text of text" in capsys.readouterr().out


def test_dynamics_measure_what_the_run_held_out(pretrained, corpus, held_out, documents_read, tmp_path, capsys):
    out = ["--model", str(pretrained), "--output_dir"]
    dynamics.main([*out, str(tmp_path / "of_run")])
    dynamics.main([*out, str(tmp_path / "named"), *held_out])
    of_run, named = (load_dynamics(tmp_path / name) for name in ("of_run", "named"))
    assert of_run.equals(named)
    assert documents_read[0] == documents_read[1]
    assert "held out from training" in capsys.readouterr().out
    assert dynamics.main([*out, str(tmp_path / "of_run")]) == []
    with pytest.raises(InputError, match=r"eval_fraction is 0.2, but the run held out 0.1"):
        dynamics.main([*out, str(tmp_path / "wrong"), "--eval_fraction=0.2"])
    assert not (tmp_path / "wrong").exists()


def test_run_of_an_earlier_version_is_measured_on_the_documents_it_held_out(pretrained, documents_read, tmp_path):
    shutil.copytree(pretrained, tmp_path / "run")
    record = tmp_path / "run" / "arguments.json"
    arguments = json.loads(record.read_text())
    del arguments["split_by"]
    record.write_text(json.dumps(arguments))
    assert measure(tmp_path / "run")["text"]["relation"] == HELD_OUT
    rows = load_documents(arguments["dataset"])
    _, by_row = split_held_out(rows, 0.1, "row")
    _, by_document = split_held_out(rows, 0.1)
    assert documents_read == [set(by_row["text"])] != [set(by_document["text"])]


BOOKS = {"dataset": "user/books"}


@pytest.mark.parametrize(
    ("run", "text", "expected"),
    [
        (BOOKS, BOOKS, HELD_OUT),
        (BOOKS, BOOKS | {"eval_fraction": 0.01}, HELD_OUT),
        (BOOKS, BOOKS | {"eval_fraction": 0.06}, "eval_fraction is 0.06"),
        (BOOKS, BOOKS | {"dataset_revision": "v2"}, "dataset_revision None -> v2"),
        (BOOKS, BOOKS | {"text_column": "title"}, "text_column text -> title"),
        (BOOKS, BOOKS | {"split_by": "row"}, "split_by document -> row"),
        (BOOKS, BOOKS | {"dataset_split": "validation"}, OTHER),
        (BOOKS, BOOKS | {"dataset_split": "train[90%:]+validation"}, "dataset_split train -> "),
        (BOOKS | {"dataset_config": "en"}, BOOKS | {"dataset_config": "hr"}, OTHER),
        (BOOKS | {"dataset_config": "en"}, BOOKS, "dataset_config en -> None"),
        (BOOKS, {"eval_dataset": "user/books", "eval_split": "validation"}, OTHER),
        (BOOKS, {"eval_dataset": "user/books"}, "is text that the run trained on"),
        (BOOKS | {"eval_dataset": "user/books"}, {"eval_dataset": "user/books"}, "is text that the run trained on"),
        (
            BOOKS | {"dataset_split": "train[:90%]", "eval_dataset": "user/books", "eval_split": "train[90%:]"},
            {"eval_dataset": "user/books", "eval_split": "train[90%:]"},
            EVALUATION,
        ),
        ({"dataset": "/books"}, {"dataset": "/books/a.txt"}, "dataset /books -> /books/a.txt"),
        ({"dataset": "/books/a.txt"}, {"eval_dataset": "/books"}, "is text that the run trained on"),
        ({"dataset": "/books/a.txt"}, {"dataset": "/books/b.txt"}, OTHER),
        ({}, {}, HELD_OUT),
        ({}, BOOKS, OTHER),
    ],
)
def test_text_lies_in_the_held_out_part_outside_or_elsewhere(run, text, expected):
    arguments = CorpusArguments(**text), CorpusArguments(**run)
    if expected in RELATIONS:
        assert relation_to_run(*arguments) == expected
    else:
        with pytest.raises(InputError, match=expected):
            relation_to_run(*arguments)


def test_paths_are_compared_where_they_lead(tmp_path, monkeypatch):
    (tmp_path / "books.txt").write_text("a")
    (tmp_path / "link.txt").symlink_to(tmp_path / "books.txt")
    monkeypatch.chdir(tmp_path)
    run = CorpusArguments(dataset="books.txt")
    for name in ("link.txt", str(tmp_path / "books.txt"), "./books.txt"):
        assert relation_to_run(CorpusArguments(dataset=name, eval_fraction=0.01), run) == HELD_OUT
        with pytest.raises(InputError, match=r"eval_fraction is 0\.5"):
            relation_to_run(CorpusArguments(dataset=name, eval_fraction=0.5), run)
