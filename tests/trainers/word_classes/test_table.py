import logging

import pytest
import torch

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import FormTable, train_tokenizer
from pico_maml.trainers.corpus.word_forms import exact
from pico_maml.trainers.word_classes import WordClasses, spelling_table

TEXT = " May may walk; the Café, the cafe\u0301 said. Кошка спит, кошка ест мышь. हिन्दी भाषा well-known don't"
TOKENIZERS = {size: train_tokenizer([TEXT, TEXT.lower()] * 30, size) for size in (262, 330, 900)}
CLASSES = WordClasses.from_words(
    ["May", "may", "caf\u00e9", "кошка", "भाषा", "well-known"],
    ["month", "verb", "noun", "noun", "noun", "other"],
    [5, 9, 7, 7, 3, 1],
)


def found(classes, tokenizer, text) -> list[str]:
    """Labels of the words of a text that have a class."""
    ids = torch.tensor([tokenizer(text + " .")["input_ids"]])
    places = spelling_table(tokenizer, len(tokenizer)).find(ids)
    return [classes.labels[number] for number in classes.find(places.words).tolist() if number >= 0]


@pytest.mark.parametrize("size", TOKENIZERS)
def test_words_of_a_text_have_their_class_with_every_tokenizer(size):
    # A vocabulary of 262 cuts nearly every word; case variants are two words, encodings of an accent are one.
    assert found(CLASSES, TOKENIZERS[size], TEXT) == ["month", "verb", "noun", "noun", "noun", "other"]


def test_words_without_a_class_and_an_empty_table_give_minus_one():
    numbers = torch.tensor([CLASSES.numbers[2], 0, 2**63 - 1])
    assert CLASSES.find(numbers).tolist() == [CLASSES.classes[2], -1, -1]
    nothing, everything = CLASSES.split("form", 1.0)
    assert nothing.find(numbers).tolist() == [-1, -1, -1]
    assert everything.spellings == CLASSES.spellings


def test_held_out_words_are_those_of_the_form_table_and_case_variants_stay_together():
    tokenizer = TOKENIZERS[900]
    words = [*"abcdefghijklmnopqrstuvwxyz", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    classes = WordClasses.from_words(words, ["x", "y"] * 26, [1] * 52)
    ids = torch.tensor([tokenizer(" ".join(words) + " .")["input_ids"]])
    table = FormTable.from_tokenizer(tokenizer, len(tokenizer), "form", exact)
    for part, places in zip(classes.split("form", 0.3), table.split(0.3), strict=True):
        assert set(places.find(ids).words.tolist()) == set(part.numbers.tolist())
        assert {word.swapcase() for word in part.spellings} == set(part.spellings)
        assert part.labels == ["x", "y"]
    assert len(classes.split("form", 0.3)[1]) > 4


def test_shuffled_keeps_the_sizes_of_classes_in_every_tenth_by_frequency():
    counts = torch.arange(1000)
    words = [f"word{chr(97 + i // 676)}{chr(97 + i // 26 % 26)}{chr(97 + i % 26)}" for i in range(1000)]
    classes = WordClasses.from_words(words, [str(i * 7 // 1000) for i in range(1000)], counts.tolist())
    shuffled = classes.shuffled(1)
    moved = shuffled.classes != classes.classes
    assert 0.1 < moved.float().mean() < 0.9  # a tenth of one class stays as it is
    for tenth in range(10):
        inside = classes.counts // 100 == tenth
        before, after = (torch.bincount(c.classes[inside], minlength=7) for c in (classes, shuffled))
        assert before.tolist() == after.tolist()
    assert torch.equal(shuffled.numbers, classes.numbers)
    assert torch.equal(classes.shuffled(1).classes, shuffled.classes)
    assert not torch.equal(classes.shuffled(2).classes, shuffled.classes)


def test_a_saved_table_is_loaded_unchanged(tmp_path):
    clusters = WordClasses.from_words(["a", "b", "c"], ["10", "2", "0"], [3, 1, 2])
    assert clusters.labels == ["0", "2", "10"]
    for classes in (CLASSES, clusters):
        classes.save(tmp_path)
        loaded = WordClasses.load(tmp_path)
        assert (loaded.spellings, loaded.labels) == (classes.spellings, classes.labels)
        for name in ("numbers", "classes", "counts"):
            assert torch.equal(getattr(loaded, name), getattr(classes, name))
    assert (tmp_path / "word_classes.tsv").read_text().splitlines()[:2] == ["word\tclass\tcount", "a\t10\t3"]


def test_a_file_of_ones_own_needs_no_counts_and_rows_that_are_no_word_are_skipped(tmp_path, caplog):
    file = tmp_path / "mine.tsv"
    file.write_text("class\tword\tnote\nnoun\tcafe\u0301\tx\nnoun\tNew York\tx\nverb\tsit\t\nnumber\tx1\tx\n\n")
    with caplog.at_level(logging.WARNING):
        classes = WordClasses.load(file)
    assert sorted(classes.spellings) == ["caf\u00e9", "sit"]
    assert classes.labels == ["noun", "verb"]
    assert classes.counts.tolist() == [0, 0]
    assert "2 rows are skipped" in caplog.text
    assert "'New York'" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word\tkind\na\tb\n", "must name the columns word and class"),
        ("word\tclass\na b\n", "line 2: 'a b' has no word or no class"),
        ("word\tclass\tcount\na\tx\t1\nb\ty\t-1\n", "line 3: the count of 'b' is '-1'"),
        ("word\tclass\na\tx\nb\ty\na\ty\n", "'a' has more than one row"),
        ("word\tclass\na\tx\nb\tx\n", "has words of 1 classes"),
        ("", "must name the columns word and class"),
    ],
)
def test_a_wrong_file_is_one_clear_error(text, message, tmp_path):
    (tmp_path / "mine.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        WordClasses.load(tmp_path / "mine.tsv")


def test_an_absent_file_is_one_clear_error(tmp_path):
    with pytest.raises(InputError, match=r"no\.tsv cannot be read"):
        WordClasses.load(tmp_path / "no.tsv")


def test_examples_are_the_most_frequent_words_from_the_largest_class_to_the_smallest():
    sized = WordClasses.from_words(["a", "b", "c", "d"], ["x", "y", "y", "y"], [9, 1, 3, 2])
    assert sized.examples(5, 2) == [("y", ["c", "d"]), ("x", ["a"])]
    assert len(CLASSES.examples(2, 2)) == 2
