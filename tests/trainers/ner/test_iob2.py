import pytest
from hypothesis import given
from hypothesis import strategies as st

from pico_maml.trainers import InputError
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


def test_comments_and_blank_lines_are_skipped_and_other_entities_become_o(tmp_path):
    first, second = read_iob2(write(tmp_path, GOOD))
    assert (first.tokens, first.tags) == (["Ann", "saw"], ["B-PER", "O"])
    assert (second.tokens, second.tags) == (["Rio", "X"], ["B-LOC", "O"])


def test_two_columns_crlf_and_a_missing_last_newline_are_read(tmp_path):
    (sentence,) = read_iob2(write(tmp_path, "Ann\tB-PER\r\nB.\tI-PER"))
    assert sentence.tags == ["B-PER", "I-PER"]


@pytest.mark.parametrize("start", [GOOD, "Ann\tB-PER\n"])
def test_a_byte_order_mark_is_no_text(tmp_path, start):
    sentences = read_iob2(write(tmp_path, b"\xef\xbb\xbf" + start.encode()))
    assert sentences == read_iob2(write(tmp_path, start))


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
def test_entities_become_tags_and_the_same_entities_again(gaps):
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


def test_files_of_universal_ner_round_trip(shared, tmp_path):
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
