import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pico_maml.modeling_pico.tagging_pico import ends_of_words
from pico_maml.trainers import InputError
from pico_maml.trainers.ner import LABELS
from pico_maml.trainers.ner.alignment import align, predicted_tags, truncated_words

words = st.text(alphabet=st.sampled_from("abcdij.,é中文ا́ 🙂"), min_size=1, max_size=6).filter(
    lambda word: word.strip() == word and word != ""
)
sentences = st.lists(st.tuples(words, st.integers(0, len(LABELS) - 1)), min_size=1, max_size=12)


SUBWORD = st.sampled_from(["first", "last"])


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(sentences, min_size=1, max_size=4), max_length=st.integers(4, 60), subword=SUBWORD)
def test_each_word_carries_its_label_once_and_comes_back(tokenizer, rows, max_length, subword):
    columns = {
        "tokens": [[word for word, _ in row] for row in rows],
        "ner_tags": [[tag for _, tag in row] for row in rows],
    }
    aligned = align(columns, tokenizer, max_length, subword)
    for i, row in enumerate(rows):
        labels, labelled = aligned["labels"][i], aligned["labelled_words"][i]
        ids = aligned["input_ids"][i]
        assert len(labels) == len(ids) == aligned["length"][i] <= max_length
        assert [label for label in labels if label != -100] == [row[word][1] for word in labelled]
        assert labelled == list(range(len(labelled))), "words are lost at the end only"
        if len(labelled) == len(row) and len(labels) < max_length:
            assert tokenizer.decode(ids) == "".join(" " + word for word, _ in row), "words are read as in running text"
        # Whatever stands up to a label of the last sub-word is whole words, that one included.
        if subword == "last":
            for word, position in zip(labelled, [p for p, label in enumerate(labels) if label != -100], strict=True):
                assert tokenizer.decode(ids[: position + 1]) == "".join(" " + w for w, _ in row[: word + 1])
    # Predictions that repeat the labels give the tags back; cut-off words are O.
    width = max(aligned["length"])
    labels = np.array([row + [-100] * (width - len(row)) for row in aligned["labels"]])
    tags = predicted_tags(labels, labels, {**aligned, **columns}, LABELS)
    gold = [[LABELS[tag] for tag in row] for row in columns["ner_tags"]]
    for row, sentence, labelled in zip(gold, tags, aligned["labelled_words"], strict=True):
        assert sentence == [tag if i in labelled else "O" for i, tag in enumerate(row)]
    lost = sum(len(row) for row in rows) - sum(map(len, aligned["labelled_words"]))
    assert truncated_words({**aligned, **columns}) == lost


@given(
    word_ids=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2)), max_size=8),
    before=st.integers(0, 1),
)
def test_each_word_has_one_labelled_position_for_any_word_ids(word_ids, before):
    """Words of one to four pieces, special tokens before them and between them."""
    ids: list[int | None] = [None] * before
    for word, (pieces, specials) in enumerate(word_ids):
        ids += [word] * pieces + [None] * specials
    first, last = ends_of_words(ids, "first"), ends_of_words(ids, "last")
    assert [ids[p] for p in first] == [ids[p] for p in last] == list(range(len(word_ids)))
    for start, end, (pieces, _) in zip(first, last, word_ids, strict=True):
        assert end - start == pieces - 1


def test_a_word_cut_in_the_middle_keeps_its_first_label_only(tokenizer):
    rows = {"tokens": [["ab", "zzzzzz"]], "ner_tags": [[1, 3]]}
    whole = align(rows, tokenizer, 60)["length"][0]
    assert align(rows, tokenizer, whole - 1, "first")["labelled_words"] == [[0, 1]]
    assert align(rows, tokenizer, whole - 1, "last")["labelled_words"] == [[0]]


def test_a_tokenizer_without_word_ids_is_an_error(tokenizer):
    class Slow:
        is_fast = False

    with pytest.raises(InputError, match="Slow gives no word ids: use a fast tokenizer"):
        align({"tokens": [["a"]], "ner_tags": [[0]]}, Slow(), 8)


def test_words_without_their_space_are_cut_as_at_the_start_of_a_text(tokenizer):
    rows = {"tokens": [["ab", "cd"]], "ner_tags": [[1, 3]]}

    def subwords(space: bool) -> list[int]:
        return align(rows, tokenizer, 60, space_before_words=space)["input_ids"][0]

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    assert subwords(True) == ids(" ab") + ids(" cd")
    assert subwords(False) == ids("ab") + ids("cd") != subwords(True)


def test_words_that_look_like_control_tokens_are_words(tokenizer):
    rows = {"tokens": [["ab", "[MASK]", "<|endoftext|>", "cd"]], "ner_tags": [[1, 3, 5, 0]]}
    for subword in ("first", "last"):
        aligned = align(rows, tokenizer, 60, subword)
        assert aligned["labelled_words"] == [[0, 1, 2, 3]]
        assert not set(aligned["input_ids"][0]) & set(tokenizer.all_special_ids)
        assert tokenizer.decode(aligned["input_ids"][0]) == " ab [MASK] <|endoftext|> cd"
