"""Labelled sentences of any classes, from columns, spans and `datasets`."""

import json

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from pico_maml.trainers import InputError, load_treebank
from pico_maml.trainers.ner.alignment import gold_tags
from pico_maml.trainers.ner.labels import tag_names, tags_of, with_tags
from pico_maml.trainers.ner.sources.columns import read_columns
from pico_maml.trainers.ner.sources.data_format import DataFormat
from pico_maml.trainers.ner.sources.spans import read_spans
from pico_maml.trainers.ner.sources.tag_schemes import to_iob2_tags

CONLL = "-DOCSTART- -X- O O\n\nEU NNP B-NP I-ORG\nrejects VBZ B-VP O\nGerman JJ B-NP I-MISC\ncall NN I-NP O\n"


def file(folder, name, content):
    path = folder / name
    path.write_text(content if isinstance(content, str) else "\n".join(map(json.dumps, content)), "utf-8")
    return path


@pytest.mark.parametrize(
    ("scheme", "tags", "expected"),
    [
        ("iob2", "O B-A I-A B-A I-B", "O B-A I-A B-A I-B"),
        ("iob1", "I-A I-A B-A O I-B I-A", "B-A I-A B-A O B-B B-A"),
        ("bilou", "B-A I-A L-A U-B O B-A L-A", "B-A I-A I-A B-B O B-A I-A"),
        ("bilou", "B-A E-A S-B", "B-A I-A B-B"),
    ],
)
def test_schemes_become_iob2(scheme, tags, expected):
    assert to_iob2_tags(tags.split(), scheme, "here") == expected.split()


@pytest.mark.parametrize(
    ("scheme", "tag", "message"),
    [
        ("iob2", "U-A", "here: unknown tag 'U-A' in iob2: set tag_scheme to bilou"),
        ("iob2", "PER", "unknown tag 'PER' in iob2: write O, or PREFIX-CLASS"),
        ("bilou", "X-A", "unknown tag 'X-A'"),
        ("iob1", "B-", "unknown tag 'B-'"),
    ],
)
def test_a_tag_of_another_scheme_is_named_with_the_remedy(scheme, tag, message):
    with pytest.raises(InputError, match=message):
        to_iob2_tags([tag], scheme, "here")


def test_conll_2003_columns_are_read_in_any_order(tmp_path):
    form = DataFormat(token_column=0, tag_column=-1, tag_scheme="iob1")
    (sentence,) = read_columns(file(tmp_path, "a.conll", CONLL), form)
    assert (sentence.tokens, sentence.tags) == (
        ["EU", "rejects", "German", "call"],
        ["B-ORG", "O", "B-MISC", "O"],
    )
    (tabs,) = read_columns(file(tmp_path, "b.tsv", "B-X y\tNew York\n"), DataFormat(1, 0))
    assert (tabs.tokens, tabs.tags) == (["New York"], ["B-X y"])
    with pytest.raises(InputError, match=r"line 2: 2 columns, but token_column is 0 and tag_column 2"):
        read_columns(file(tmp_path, "c.conll", "a O O\nb O\n"), DataFormat(0, 2))


def test_spans_become_words_that_are_cut_at_their_ends(tmp_path):
    text = "Ann-Marie flew to New York's café."
    spans = [
        {"start": 0, "end": 9, "label": "PERSON"},
        {"start": 18, "end": 26, "label": "CITY"},
        {"start": 21, "end": 22, "label": "X"},
    ]
    (sentence,) = read_spans(file(tmp_path, "a.jsonl", [{"text": text, "entities": spans[:2]}]))
    assert sentence.tokens == ["Ann", "-", "Marie", "flew", "to", "New", "York", "'", "s", "café", "."]
    assert sentence.tags == ["B-PERSON", "I-PERSON", "I-PERSON", "O", "O", "B-CITY", "I-CITY", "O", "O", "O", "O"]
    (half,) = read_spans(file(tmp_path, "b.jsonl", [{"text": "Yorkshire", "spans": [[0, 4, "CITY"]]}]))
    assert (half.tokens, half.tags) == (["York", "shire"], ["B-CITY", "O"])
    with pytest.raises(InputError, match=r"line 1: the span 21 to 22 \(X\) overlaps the one before"):
        read_spans(file(tmp_path, "c.jsonl", [{"text": text, "entities": spans}]))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"text": "Ann", "entities": [{"start": 0, "end": 4, "label": "A"}]},
            "0 to 4 .* is not in a text of 3 characters",
        ),
        ({"text": "a b", "entities": [{"start": 1, "end": 2, "label": "A"}]}, "has no word"),
        ({"text": "Ann"}, 'line 1: expected {"text"'),
        ({"text": "...", "entities": [{"start": "0", "end": 1, "label": "A"}]}, 'expected {"text"'),
        ({"text": " ", "entities": []}, "a text without a word"),
    ],
)
def test_wrong_spans_name_file_and_line(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        read_spans(file(tmp_path, "a.jsonl", [row]))


def test_a_folder_has_its_splits_by_the_ends_of_names_and_the_tags_of_all(tmp_path):
    file(tmp_path, "eng.train", "not labelled")
    file(tmp_path, "train.conll", "Rome B-CITY\n\nAnn B-PERSON\n")
    file(tmp_path, "x-dev.jsonl", [{"text": "Rome", "entities": [[0, 4, "CITY"]]}])
    file(tmp_path, "my_test.tsv", "Oslo\tB-CITY\n")
    splits = load_treebank(str(tmp_path))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 2, "validation": 1, "test": 1}
    for rows in splits.values():
        assert tags_of(rows) == ("O", "B-CITY", "I-CITY", "B-PERSON", "I-PERSON")
    assert gold_tags(splits["test"]) == [["B-CITY"]]
    renamed = load_treebank(str(tmp_path), form=DataFormat(label_map=("CITY=LOC", "PERSON=O")))
    assert tags_of(renamed["train"])[:3] == ("O", "B-PER", "I-PER"), "classes of Universal NER keep its tags"
    assert gold_tags(renamed["train"]) == [["B-LOC"], ["O"]]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="has no file whose name ends with train, dev or test"):
        load_treebank(str(tmp_path / "nothing"))


@pytest.mark.parametrize("names", [None, ["O", "B-GENE", "I-GENE"]])
def test_a_folder_of_datasets_is_read_with_string_tags_and_with_class_labels(tmp_path, names):
    tags = ["B-GENE", "O"] if names is None else [1, 0]
    feature = Value("string") if names is None else ClassLabel(names=names)
    features = Features({"words": List(Value("string")), "tags": List(feature)})
    rows = Dataset.from_dict({"words": [["BRCA1", "binds"]], "tags": [tags]}, features=features)
    DatasetDict(train=rows, dev=rows).save_to_disk(tmp_path / "set")
    splits = load_treebank(str(tmp_path / "set"))
    assert set(splits) == {"train", "validation"}
    assert gold_tags(splits["train"]) == [["B-GENE", "O"]]
    rows.rename_column("tags", "other").save_to_disk(tmp_path / "wrong")
    with pytest.raises(InputError, match="has the columns words, other: rename two to tokens and ner_tags"):
        load_treebank(str(tmp_path / "wrong"))


def test_a_test_set_may_lack_classes_but_have_no_others(tmp_path):
    rows = load_treebank(str(file(tmp_path, "a.jsonl", [{"text": "Rome", "spans": [[0, 4, "CITY"]]}] * 10)))["test"]
    wide = with_tags(rows, tag_names(["CITY", "AGE"]), "a")
    assert gold_tags(wide) == gold_tags(rows)
    assert tags_of(wide) == ("O", "B-AGE", "I-AGE", "B-CITY", "I-CITY")
    with pytest.raises(InputError, match="a has the classes CITY, but training has AGE: map CITY with --label_map"):
        with_tags(rows, tag_names(["AGE"]), "a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tag_scheme": "iob"}, "tag_scheme must be one of"),
        ({"token_column": 1}, "token_column and tag_column belong together"),
        ({"label_map": ["A"]}, "label_map has FROM=TO pairs, got 'A'"),
    ],
)
def test_a_wrong_format_is_an_error(arguments, message):
    with pytest.raises(InputError, match=message):
        DataFormat(**arguments)
