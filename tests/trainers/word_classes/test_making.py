import pytest
import torch
from datasets import Dataset
from word_language import CLASSES, MEMBERS, language, tokenized, vocabulary

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import make_blocks
from pico_maml.trainers.word_classes import ClassConfig, WordClasses, make_classes


def make(documents, size, seed=0, blocks=None, **changes) -> WordClasses:
    tokenizer, block = tokenized(documents, size)
    config = ClassConfig(**{"episode_classes": "clusters", "class_count": CLASSES} | changes)
    return make_classes(block if blocks is None else blocks, tokenizer, len(tokenizer), config, seed)[0]


def members(classes: WordClasses) -> set[frozenset[str]]:
    groups = [[] for _ in classes.labels]
    for word, number in zip(classes.spellings, classes.classes.tolist(), strict=True):
        groups[number].append(word)
    return {frozenset(group) for group in groups}


@pytest.mark.parametrize("script", ["latin", "cyrillic", "devanagari"])
def test_clusters_are_the_classes_of_a_language_of_any_script(script):
    # 300 tokens cut every word into several.
    classes = make(language(script), 300)
    assert members(classes) == {frozenset(words) for words in vocabulary(script)}
    assert classes.labels == ["0", "1", "2", "3"]
    assert int(classes.counts.sum()) == 60 * 25 * CLASSES


def test_another_tokenizer_gives_the_same_words_classes_and_counts():
    one, other = (make(language("latin"), size) for size in (300, 700))
    assert one.spellings == other.spellings
    for name in ("numbers", "classes", "counts"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_a_seed_gives_the_same_clusters_again_also_where_there_are_none_to_be_found():
    documents = language("latin")
    first, again, other = (make(documents, 300, seed, class_count=9) for seed in (0, 0, 1))
    assert torch.equal(first.classes, again.classes)
    assert not torch.equal(first.classes, other.classes)


def test_case_variants_are_words_of_their_own():
    documents = [text.replace("bal ", "Bal ", text.count("bal ") // 2) for text in language("latin")] * 4
    classes = make(documents, 400)
    assert len(classes) == CLASSES * MEMBERS + 1
    assert {"bal", "Bal"} <= set(classes.spellings)


def test_a_stream_is_read_once_in_its_order_and_only_its_start():
    documents = language("latin")
    tokenizer, _ = tokenized(documents, 300)
    rows = Dataset.from_dict({"text": documents})
    whole = make_blocks(rows, tokenizer, 64)
    stream = make_blocks(rows.to_iterable_dataset(), tokenizer, 64, shuffle_blocks=50, seed=3)
    for tokens in (0, 64 * 101):
        made = []
        for blocks in (whole, stream):
            config = ClassConfig("clusters", class_count=CLASSES, class_min_count=2, class_text_tokens=tokens)
            classes, counted = make_classes(blocks, tokenizer, len(tokenizer), config, 0)
            assert counted == (tokens or len(whole) * 64)
            made.append(classes)
        assert made[0].spellings == made[1].spellings
        assert set(made[0].spellings) == set().union(*vocabulary("latin")), "words that blocks cut are not counted"
        assert torch.equal(made[0].counts, made[1].counts)
        assert torch.equal(made[0].classes, made[1].classes)
    assert next(iter(stream))["input_ids"].shape == (65,)


def test_too_few_words_for_the_classes_are_one_clear_error():
    documents = language("latin")
    with pytest.raises(InputError, match="class_count is 101, but only 100 words occur class_min_count 6 times"):
        make(documents, 300, class_count=101)
    with pytest.raises(InputError, match="no word occurs 5000 times"):
        make(documents, 300, class_min_count=5000)


def test_a_file_gives_its_own_classes_and_no_text_is_counted(tmp_path):
    (tmp_path / "mine.tsv").write_text("word\tclass\nbal\tnoun\nbel\tverb\n")
    classes, tokens = make_classes([], None, 0, ClassConfig(str(tmp_path / "mine.tsv")), 0)
    assert tokens == 0
    assert dict(zip(classes.spellings, classes.classes.tolist(), strict=True)) == {"bal": 0, "bel": 1}
