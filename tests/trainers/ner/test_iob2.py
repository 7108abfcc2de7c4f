import pytest
from hypothesis import given
from hypothesis import strategies as st

from pico_maml.trainers import InputError, load_treebank
from pico_maml.trainers.ner.iob2 import (
    CLASSES,
    LABELS,
    Entity,
    format_iob2,
    inside_without_begin,
    read_iob2,
    to_entities,
    to_iob2,
)
from pico_maml.trainers.ner.universal_ner import FACTS

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


entities = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.sampled_from(CLASSES)), max_size=6)


@given(entities)
def test_entities_to_iob2_and_back(gaps):
    expected, position = [], 0
    for gap, length, label in gaps:
        expected.append(Entity(position + gap, position + gap + length, label))
        position += gap + length
    tags = to_iob2(expected, position)
    assert set(tags) <= set(LABELS)
    assert to_entities(tags) == expected
    assert to_iob2(to_entities(tags), len(tags)) == tags


@given(st.lists(st.sampled_from(LABELS), max_size=12))
def test_any_tags_give_entities_that_round_trip(tags):
    repaired = to_iob2(to_entities(tags), len(tags))
    assert to_entities(repaired) == to_entities(tags)
    assert inside_without_begin(repaired) == 0
    assert (repaired == tags) is (inside_without_begin(tags) == 0)


def test_real_files_round_trip(shared, tmp_path):
    checked = 0
    for path in sorted((shared / "uner").glob("*.iob2")):
        sentences = read_iob2(path)
        written = write(tmp_path, format_iob2((s.tokens, s.tags) for s in sentences))
        assert [(s.tokens, s.tags) for s in read_iob2(written)] == [(s.tokens, s.tags) for s in sentences], path.name
        for s in sentences:
            assert to_entities(to_iob2(to_entities(s.tags), len(s.tags))) == to_entities(s.tags)
        known = {entry["file"]: entry for facts in FACTS.values() for entry in facts["splits"].values()}[path.name]
        assert sum(s.other_entities for s in sentences) == known["other_entities"], path.name
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
    write(tmp_path, GOOD, "xx_own-ud-train.iob2")
    with pytest.raises(InputError, match=r"did you mean 'xx_own'\?"):
        load_treebank("xx_onw", tmp_path)
    with pytest.raises(InputError, match=r"no treebank, file or folder 'da_dtt': did you mean 'da_ddt'\?"):
        load_treebank("da_dtt")
    with pytest.raises(InputError, match="the treebanks are da_ddt, en_ewt"):
        load_treebank("9999")
    with pytest.raises(InputError, match="no folder"):
        load_treebank("da_ddt", tmp_path / "nothing")
    with pytest.raises(InputError, match="needs at least 10"):
        load_treebank(str(write(tmp_path, GOOD, "short.iob2")))
