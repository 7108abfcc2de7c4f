import json
import shutil
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hub_server import Account, HubServer
from pretrain_run import argv
from published_run import TOKEN, connect
from transformers import AutoTokenizer

from pico_maml.recipes.prepare import command as prepare
from pico_maml.recipes.prepare import shards
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import load_documents, raw_tables, split_held_out, train_tokenizer
from pico_maml.trainers.corpus.document_numbers import document_number
from pico_maml.trainers.errors import PublishError

SMALL = ["--vocab_size=400", "--block_size=48", "--documents_per_shard=20", "--held_out_fraction=0.1"]


@pytest.fixture(scope="module")
def packed(corpus, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "out"
    prepare.main([f"--dataset={corpus}", f"--output_dir={folder}", *SMALL])
    return folder


def stream(folder: Path, split: str) -> list[int]:
    """The token ids of a split in order, each once."""
    ids: list[int] = []
    for path in sorted((folder / split).iterdir()):
        rows = np.stack(pq.read_table(path).column("input_ids").to_numpy())
        joined = [*rows[0], *(i for row in rows[1:-1] for i in row[1:])]
        # The last row of a file begins with ids that stand before it already.
        overlap = next(n for n in range(49, 0, -1) if joined[-n:] == list(rows[-1][:n]))
        ids += [*joined, *rows[-1][overlap:]]
    return [int(i) for i in ids]


def test_shards_hold_every_token_of_their_split_once(packed, corpus):
    tokenizer = AutoTokenizer.from_pretrained(packed / "tokenizer")
    train, held_out = split_held_out(load_documents(corpus), 0.1)
    for documents, split in ((train, "train"), (held_out, "validation")):
        texts = [row["text"] for row in documents]
        expected = [i for ids in tokenizer(texts)["input_ids"] for i in [*ids, tokenizer.eos_token_id]]
        assert stream(packed, split) == expected


def test_the_tokenizer_has_not_seen_held_out_text(packed, corpus):
    def vocabulary(documents) -> dict[str, int]:
        return train_tokenizer((row["text"] for row in documents), 400).get_vocab()

    documents = load_documents(corpus)
    train, _ = split_held_out(documents, 0.1)
    assert AutoTokenizer.from_pretrained(packed / "tokenizer").get_vocab() == vocabulary(train)
    assert vocabulary(train) != vocabulary(documents)


@pytest.mark.parametrize("options", [[], ["--streaming=true"]])
def test_shards_hold_the_document_of_each_token_and_no_file_is_in_both_splits(text, tmp_path, options):
    (tmp_path / "files").mkdir()
    for i in range(8):
        (tmp_path / "files" / f"{i}.txt").write_text("\n\n".join(text[10 * i : 10 * i + 10]))
    command = [f"--dataset={tmp_path / 'files'}", f"--output_dir={tmp_path / 'out'}", *SMALL, *options]
    prepare.main([*command, "--documents_per_shard=27", "--held_out_fraction=0.3"])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "tokenizer")
    sides = split_held_out(load_documents(str(tmp_path / "files")), 0.3)
    files = [{row["document"] for row in side} for side in sides]
    assert len(files[0] | files[1]) == 8 == len(files[0]) + len(files[1])
    expected = {}
    for row in chain(*sides):
        number = document_number(str(row["document"]))
        expected |= {tuple(tokenizer(row["text"])["input_ids"][:9]): number}
    seen, found = [], 0
    for split in ("train", "validation"):
        tables = [pq.read_table(path) for path in sorted((tmp_path / "out" / split).iterdir())]
        rows = [row for table in tables for row in table.to_pylist()]
        seen.append({number for row in rows for number in row["document"]})
        for row in rows:
            for i in range(40):
                number = expected.get(tuple(row["input_ids"][i : i + 9]))
                assert number in (None, row["document"][i])
                found += number is not None
    assert found >= 60, "beginnings of paragraphs, of 80"
    assert seen == [{document_number(str(name)) for name in side} for side in files]


def test_an_interrupted_preparation_of_an_earlier_version_is_an_error(corpus, tmp_path):
    progress = tmp_path / "out" / ".progress"
    progress.mkdir(parents=True)
    arguments = {"dataset": corpus, "tokenizer": None, "vocab_size": 400, "block_size": 48}
    (progress / "arguments.json").write_text(json.dumps(arguments))
    with pytest.raises(InputError, match="shards do not hold the document of each token: choose another output_dir"):
        prepare.main([f"--dataset={corpus}", f"--output_dir={tmp_path / 'out'}", *SMALL])


def test_manifest_has_the_hashes_and_counts_of_the_files(packed):
    manifest = json.loads((packed / "manifest.json").read_text())
    assert [file["file"].split("/")[0] for file in manifest["files"]] == ["train"] * 4 + ["validation"]
    for file in manifest["files"]:
        content = (packed / file["file"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), sha256(content).hexdigest())
        assert file["blocks"] == pq.read_metadata(packed / file["file"]).num_rows
    counts = manifest["counts"]
    assert counts["documents"] + counts["held_out_documents"] == 80
    assert counts["tokens"] == len(stream(packed, "train"))
    assert manifest["corpus"]["dataset"] == "text.txt", "no path of this machine"


def test_interrupted_preparation_continues_to_the_same_files_with_any_workers(packed, corpus, tmp_path, monkeypatch):
    whole = json.loads((packed / "manifest.json").read_text())["files"]
    command = [f"--dataset={corpus}", f"--output_dir={tmp_path / 'out'}", *SMALL]
    original = shards.write_rows

    def killed(path, rows):
        if path.name.startswith("train-00002"):
            raise KeyboardInterrupt
        return original(path, rows)

    monkeypatch.setattr(shards, "write_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare.main(command)
    monkeypatch.undo()
    assert not (tmp_path / "out" / "manifest.json").exists()
    first = tmp_path / "out" / "train" / "train-00000-of-00004.parquet"
    before = first.stat().st_mtime_ns
    with pytest.raises(InputError, match="started with other arguments: block_size 48 -> 64; give the same"):
        prepare.main([*command, "--block_size=64"])
    manifest = prepare.main([*command, "--workers=2", "--launcher=submitit-local"])
    assert manifest["files"] == whole
    assert first.stat().st_mtime_ns == before, "what was done was not done again"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "manifest.json",
        "tokenizer",
        "train",
        "validation",
    ]


def test_the_first_part_that_fails_ends_the_preparation(corpus, tmp_path):
    command = [f"--dataset={corpus}", f"--output_dir={tmp_path / 'out'}", *SMALL, "--block_size=100000"]
    with pytest.raises(InputError, match=r"^shard 1 of 4: .* fewer than one block"):
        prepare.main(command)
    assert [path.name for path in (tmp_path / "out" / ".progress" / "failures").iterdir()] == ["00000.txt"]


@pytest.mark.parametrize("damage", ["gone", "id", "row"])
def test_every_shard_of_a_finished_preparation_is_checked(packed, corpus, tmp_path, damage):
    shutil.copytree(packed, tmp_path / "out")
    shard = tmp_path / "out" / "train" / "train-00002-of-00004.parquet"
    table = pq.read_table(shard)
    if damage == "gone":
        shard.unlink()
    elif damage == "row":
        pq.write_table(table.slice(1), shard)
    else:
        rows = table.column("input_ids").to_pylist()
        rows[3][5] = 400
        pq.write_table(table.set_column(0, "input_ids", [rows]), shard)
    message = {"gone": "is gone, but", "id": ", row 4 holds 400 among", "row": "is not the file that was written"}
    with pytest.raises(InputError, match=f"train-00002-of-00004.parquet.*{message[damage]}"):
        prepare.main([f"--dataset={corpus}", f"--output_dir={tmp_path / 'out'}", *SMALL])


@pytest.mark.parametrize(
    ("other", "named"), [("--block_size=64", "block_size 48, not 64"), ("--vocab_size=300", "300")]
)
def test_a_finished_folder_with_other_arguments_is_an_error(packed, corpus, other, named):
    with pytest.raises(InputError, match=f"was prepared with .*{named}: choose another output_dir"):
        prepare.main([f"--dataset={corpus}", f"--output_dir={packed}", *SMALL, other])


def test_each_worker_checks_a_stream_of_text_once(text, tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    for i in range(4):
        (tmp_path / "files" / f"{i}.txt").write_text("\n\n".join(text[20 * i : 20 * i + 20]))
    checked, check = [], raw_tables.check_utf8
    monkeypatch.setattr(raw_tables, "check_utf8", lambda path: checked.append(path.name) or check(path))
    prepare.main([f"--dataset={tmp_path / 'files'}", f"--output_dir={tmp_path / 'out'}", *SMALL, "--streaming=true"])
    assert Counter(checked) == dict.fromkeys(("0.txt", "1.txt", "2.txt", "3.txt"), 2), "at the start and by its worker"


def test_a_short_file_of_a_stream_has_a_remedy_that_helps(text, tmp_path):
    (tmp_path / "files").mkdir()
    for i in range(3):
        (tmp_path / "files" / f"{i}.txt").write_text(text[i][:20])
    command = [f"--dataset={tmp_path / 'files'}", f"--output_dir={tmp_path / 'out'}", *SMALL, "--streaming=true"]
    with pytest.raises(InputError, match=r"fewer than one block of 49: .*; or leave out --streaming"):
        prepare.main(command)


def test_a_corpus_edited_during_an_interruption_is_an_error(corpus, tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    shutil.copy(corpus, path)
    command = [f"--dataset={path}", f"--output_dir={tmp_path / 'out'}", *SMALL]
    monkeypatch.setattr(shards, "write_shard", lambda *_: sys.exit())
    with pytest.raises(SystemExit):
        prepare.main(command)
    monkeypatch.undo()
    path.write_text(path.read_text()[::-1])
    with pytest.raises(InputError, match=r"other arguments: corpus_hash \w+ -> \w+; give the same"):
        prepare.main(command)


def test_pretraining_streams_shards_with_their_tokenizer(packed, tmp_path):
    options = {"eval_dataset": packed / "validation", "streaming": True}
    results = pretrain.main(argv(tmp_path / "run", packed / "train", **options))
    assert results["tokens_seen"] == 4 * 4 * 48
    again = AutoTokenizer.from_pretrained(tmp_path / "run")
    assert again.get_vocab() == AutoTokenizer.from_pretrained(packed / "tokenizer").get_vocab()


def test_a_pushed_corpus_is_uploaded_once_and_streamed_from_the_hub(packed, corpus, tmp_path, monkeypatch):
    with HubServer(tmp_path / "hub", {TOKEN: Account("ada")}) as hub:
        connect(monkeypatch, hub, tmp_path / "home")
        push = [f"--dataset={corpus}", f"--output_dir={packed}", "--push_to=ada/books", *SMALL]
        for _ in range(2):
            prepare.main(push)
        repository = hub.storage.find("datasets", "ada/books")
        assert len(hub.storage.history(repository, "main")) == 2
        held = hub.storage.read("datasets", "ada/books", "main")
        local = {str(path.relative_to(packed)): path.read_bytes() for path in packed.rglob("*") if path.is_file()}
        assert {path: content for path, content in held.items() if path != ".gitattributes"} == local
        run = argv(tmp_path / "run", "ada/books", eval_dataset="ada/books", eval_split="validation", streaming=True)
        command = [sys.executable, "-m", "pico_maml.recipes.pretrain", *run]
        done = subprocess.run(command, timeout=200, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        assert AutoTokenizer.from_pretrained(tmp_path / "run").vocab_size == 400
        hub.storage.create("datasets", "ada/other", private=False)
        header = {"key": "header", "value": {"summary": "words"}}
        line = {"key": "file", "value": {"path": "words.txt", "content": "aGk="}}
        hub.storage.commit("datasets", "ada/other", "main", [header, line])
        with pytest.raises(PublishError, match=r"but not on the Hub: ada/other holds something else already \(words"):
            prepare.main([*push[:-5], "--push_to=ada/other", *SMALL])


def test_wrong_inputs_are_errors(packed, corpus, tmp_path):
    out = f"--output_dir={tmp_path / 'x'}"
    with pytest.raises(InputError, match="shard 1 of 80: the corpus holds 153 tokens, fewer than one block of 1001"):
        prepare.main([f"--dataset={corpus}", out, "--block_size=1000", "--documents_per_shard=1", "--vocab_size=400"])
    with pytest.raises(InputError, match="is tokenized already: give a corpus of text"):
        prepare.main([f"--dataset={packed / 'train'}", f"--output_dir={tmp_path / 'y'}"])
    with pytest.raises(InputError, match="push_to must be user/name"):
        prepare.main([f"--dataset={corpus}", out, "--push_to=books"])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(InputError, match="is not empty"):
        prepare.main([f"--dataset={corpus}", f"--output_dir={tmp_path / 'full'}"])
