import json
import multiprocessing
import pickle
from hashlib import blake2b
from pathlib import Path

import pytest
from datasets import Dataset, IterableDataset
from stream_batches import first_texts

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import load_documents, split_held_out
from pico_maml.trainers.corpus.held_out import HeldOut


def texts_of(documents) -> list[str]:
    return [row["text"] for row in documents]


def sides_of(path: str, fraction: float, streaming: bool = False, by: str = "document") -> tuple[list[str], list[str]]:
    train, held_out = split_held_out(load_documents(path, streaming=streaming), fraction, by)
    return texts_of(train), texts_of(held_out)


def files(folder: Path, count: int, start: int = 0) -> dict[str, list[str]]:
    """Write text files of 3 paragraphs each; returns the paragraphs of each."""
    folder.mkdir(exist_ok=True)
    paragraphs = {f"{n:03}.txt": [f"file {n}, paragraph {i}" for i in range(3)] for n in range(start, start + count)}
    for name, texts in paragraphs.items():
        (folder / name).write_text("\n\n".join(texts))
    return paragraphs


def test_held_out_documents_are_the_same_in_every_run_and_streamed_or_not(corpus_path, texts):
    (train, held_out), again = [sides_of(corpus_path, 0.2, streaming) for streaming in (False, True)]
    assert (train, held_out) == again
    assert not set(train) & set(held_out)
    assert len(train) + len(held_out) == len(texts)
    assert 20 < len(held_out) < 60 or corpus_path.endswith("folder"), "of two files one is held out"
    assert train
    assert held_out


@pytest.mark.parametrize("streaming", [False, True])
def test_all_paragraphs_of_a_text_file_are_on_one_side(tmp_path, streaming):
    paragraphs = files(tmp_path, 40)
    train, held_out = sides_of(str(tmp_path), 0.3, streaming)
    assert len(train) + len(held_out) == 120
    assert 4 * 3 < len(held_out) < 20 * 3
    for texts in paragraphs.values():
        assert set(texts) <= set(train) or set(texts) <= set(held_out)


def test_a_copy_of_a_file_and_a_file_added_later_change_no_side(tmp_path):
    files(tmp_path, 40)
    _, held_out = sides_of(str(tmp_path), 0.3)
    files(tmp_path, 20, start=100)
    for name in ("003.txt", "004.txt", "005.txt", "006.txt"):
        (tmp_path / f"copy-{name}").write_text((tmp_path / name).read_text())
    train_later, later = sides_of(str(tmp_path), 0.3)
    assert set(held_out) < set(later)
    assert not set(train_later) & set(later), "a copy is on the side of its original"


@pytest.mark.parametrize("streaming", [False, True])
def test_of_few_documents_at_least_one_is_held_out(tmp_path, streaming):
    paragraphs = files(tmp_path, 3)
    train, held_out = sides_of(str(tmp_path), 0.001, streaming)
    assert held_out in paragraphs.values()
    assert len(train) == 6


@pytest.mark.parametrize("streaming", [False, True])
def test_a_corpus_of_one_text_file_holds_out_its_tail(tmp_path, streaming):
    texts = [f"paragraph {i}" for i in range(50)]
    (tmp_path / "novel.txt").write_text("\n\n".join(texts))
    assert sides_of(str(tmp_path / "novel.txt"), 0.1, streaming) == (texts[:45], texts[45:])


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_corpus_of_one_row_holds_out_its_tail_from_a_space_on(tmp_path, name, streaming):
    text = " ".join(f"word{i:02}" for i in range(20))
    (tmp_path / name).write_text(text if name == "a.txt" else json.dumps({"text": text}))
    (train,), (held_out,) = sides_of(str(tmp_path / name), 0.25, streaming)
    assert train + held_out == text
    assert held_out == " word15 word16 word17 word18 word19"


def test_a_tail_lies_in_the_tail_of_a_greater_fraction(tmp_path):
    (tmp_path / "novel.txt").write_text("\n\n".join(f"paragraph {i}" for i in range(50)))
    files(tmp_path / "few", 4)
    for path in ("novel.txt", "few"):
        less, more = (set(sides_of(str(tmp_path / path), fraction)[1]) for fraction in (0.05, 0.3))
        assert less <= more


def test_by_row_each_paragraph_is_a_document_as_in_earlier_versions(tmp_path):
    texts = [f"paragraph {i}" for i in range(20)]
    (tmp_path / "novel.txt").write_text("\n\n".join(texts))
    hashes = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) for text in texts]
    expected = [text for text, number in zip(texts, hashes, strict=True) if number < 0.3 * 2**64]
    assert 0 < len(expected) < 20
    for streaming in (False, True):
        assert sides_of(str(tmp_path / "novel.txt"), 0.3, streaming, by="row")[1] == expected


@pytest.mark.parametrize("streaming", [False, True])
def test_token_ids_with_the_same_label_are_one_document(tmp_path, streaming):
    rows = {"input_ids": [[i, i + 1] for i in range(90)], "document": [f"book {i % 30}" for i in range(90)]}
    Dataset.from_dict(rows).to_parquet(str(tmp_path / "ids.parquet"))
    documents = load_documents(str(tmp_path / "ids.parquet"), streaming=streaming)
    train, held_out = ({row["document"] for row in side} for side in split_held_out(documents, 0.3))
    assert len(train) + len(held_out) == 30
    assert 3 < len(held_out) < 16


def test_packed_blocks_are_split_one_by_one_with_a_warning(tmp_path, caplog):
    rows = {"input_ids": [[i, i + 1] for i in range(90)], "document": [[i // 9, i // 9] for i in range(90)]}
    Dataset.from_dict(rows).to_parquet(str(tmp_path / "blocks.parquet"))
    train, held_out = split_held_out(load_documents(str(tmp_path / "blocks.parquet")), 0.3)
    assert len(train) + len(held_out) == 90
    assert 15 < len(held_out) < 40
    assert "name the validation split that `prepare` wrote as eval_dataset" in caplog.text


def test_copies_of_a_single_document_are_not_split(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "same words"}\n' * 10)
    train, held_out = sides_of(str(tmp_path / "a.jsonl"), 0.3)
    assert not train or not held_out


def test_the_rule_reads_no_further_than_it_must():
    read = []

    def rows():
        for i in range(10_000):
            read.append(i)
            yield {"text": f"document {i}"}

    documents = IterableDataset.from_generator(rows)
    assert HeldOut.of(documents, 0.1) == HeldOut(0.1)
    assert len(read) < 200


@pytest.mark.parametrize("by", ["document", "row"])
def test_splitting_a_row_without_text_is_an_error(by):
    with pytest.raises(InputError, match="a row of the corpus is empty"):
        split_held_out(Dataset.from_dict({"text": ["x", None]}), 0.0001, by)


def test_both_sides_of_a_stream_can_be_sent_to_a_spawned_process(tmp_path):
    files(tmp_path, 10)
    sides = split_held_out(load_documents(str(tmp_path), streaming=True), 0.3)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for side in sides:
            assert pickle.loads(pickle.dumps(side))
            assert pool.apply(first_texts, (side, 5)) == first_texts(side, 5)
