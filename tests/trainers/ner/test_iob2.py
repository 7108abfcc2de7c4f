import json

import pytest

from pico_maml.trainers import InputError
from pico_maml.trainers.ner import load_treebank, read_iob2

GOOD = (
    "# sent_id = 1\n# text = Ann\n1\tAnn\tB-PER\t-\t-\n2\tsaw\tB-O\t-\t-\n \n1\tRio\tB-LOC\t-\t-\n2\tX\tI-OTH\t-\t-\n"
)


def write(tmp_path, content, name="a.iob2"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_comments_blank_lines_and_other_entities(tmp_path):
    first, second = read_iob2(write(tmp_path, GOOD))
    assert (first.tokens, first.tags) == (["Ann", "saw"], ["B-PER", "O"])
    assert (second.tokens, second.tags) == (["Rio", "X"], ["B-LOC", "O"])


def test_two_columns_crlf_and_no_line_at_the_end(tmp_path):
    (sentence,) = read_iob2(write(tmp_path, "Ann\tB-PER\r\nB.\tI-PER"))
    assert sentence.tags == ["B-PER", "I-PER"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD + "3\tfour\tO\t-\n", "a.iob2, line 8: 4 columns, expected 5"),
        ("Ann\tB-PER\n1\tAnn\tB-PER\t-\t-\n", "line 2: 5 columns"),
        ("1\tAnn\tB-PERSON\t-\t-\n", "line 1: unknown tag 'B-PERSON', expected one of O, B-PER"),
        ("1\t\tO\t-\t-\n", "line 1: empty token"),
        ("", "no sentence in it"),
        ("# only a comment\n", "no sentence in it"),
        ("Ann\tB-PER\n\xff".encode("latin-1"), "not UTF-8 at byte 11"),
    ],
)
def test_broken_files_name_file_and_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_iob2(write(tmp_path, content))


def test_universal_ner_files_hold_what_the_manifest_counts(shared):
    manifest = json.loads((shared / "uner_manifest.json").read_text())
    checked = 0
    for treebank in manifest.values():
        for name, facts in treebank["files"].items():
            path = shared / "uner" / name
            if not path.exists():
                continue
            sentences = read_iob2(path)
            assert len(sentences) == facts["sentences"], name
            assert sum(len(s.tokens) for s in sentences) == facts["tokens"], name
            # The manifest counts B- tags; a few I- tags stand without one.
            begun = [tag[2:] for s in sentences for tag in s.tags if tag.startswith("B-")]
            assert {k: begun.count(k) for k in facts["entities"]} == facts["entities"], name
            checked += 1
    assert checked == 18


def test_treebank_by_name_folder_file_and_sample(tmp_path):
    for split in ("train", "dev"):
        write(tmp_path, GOOD, f"xx_yy-ud-{split}.iob2")
    by_name = load_treebank("xx_yy", tmp_path)
    by_folder = load_treebank(str(tmp_path))
    assert set(by_name) == set(by_folder) == {"train", "validation"}
    assert by_name["train"].features["ner_tags"].feature.names[1] == "B-PER"
    single = load_treebank(str(write(tmp_path, "Ann\tB-PER\n\n" * 20, "single.iob2")))
    assert {split: len(rows) for split, rows in single.items()} == {"train": 16, "validation": 2, "test": 2}
    assert {split: len(rows) for split, rows in load_treebank("sample").items()} == {
        "train": 240,
        "validation": 80,
        "test": 80,
    }


def test_missing_treebanks(tmp_path):
    write(tmp_path, GOOD, "da_ddt-ud-train.iob2")
    with pytest.raises(InputError, match=r"did you mean 'da_ddt'\?"):
        load_treebank("da_dtt", tmp_path)
    with pytest.raises(InputError, match="name the folder of its files with uner_dir"):
        load_treebank("da_ddt")
    with pytest.raises(InputError, match="no folder"):
        load_treebank("da_ddt", tmp_path / "nothing")
    with pytest.raises(InputError, match="needs at least 10"):
        load_treebank(str(write(tmp_path, GOOD, "short.iob2")))
