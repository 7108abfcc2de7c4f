"""The pipeline `pico-ner` tags what `predict` tags."""

import itertools

import pytest
import torch
from transformers import pipeline

from pico_maml import PicoForTokenClassification
from pico_maml.modeling_pico.tagging_pico import Tagging, split_words
from pico_maml.trainers.ner import label_names
from pico_maml.trainers.ner.prediction import predict

SENTENCES = [["ab", "cdefgh", "ij", "."], ["gh"], ["xyz", ",", "ab", "ab", "[MASK]", "cdcd"], ["ab"] * 9]


@pytest.fixture
def tagger(config):
    for name, value in label_names().items():
        setattr(config, name, value)
    torch.manual_seed(0)
    tagger = PicoForTokenClassification(config)
    torch.nn.init.normal_(tagger.score.weight, std=3)
    return tagger.eval()


def entities(tagged, text, spans):
    """Label and place in the text of each entity of `predict`."""
    return [
        (entity.label, spans[entity.start][0], spans[entity.end - 1][1], pytest.approx(score, abs=1e-4))
        for entity, score in tagged.entities
    ]


def found(result):
    return [(entity["entity_group"], entity["start"], entity["end"], entity["score"]) for entity in result]


@pytest.mark.parametrize("tagging", itertools.product(("first", "last"), ("argmax", "iob2"), (True, False)))
def test_entities_are_those_of_predict(tagger, tokenizer, tagging):
    settings = Tagging(*tagging)
    for name, value in settings._asdict().items():
        setattr(tagger.config, name, value)
    expected = predict(tagger, tokenizer, SENTENCES)
    assert sum(len(sentence.entities) for sentence in expected) > 2
    find = pipeline("pico-ner", tagger, tokenizer=tokenizer)
    texts = [" ".join(words) for words in SENTENCES]
    for text, words, tagged in zip(texts, SENTENCES, expected, strict=True):
        starts = list(itertools.accumulate((len(word) + 1 for word in words), initial=0))
        spans = [(start, start + len(word)) for start, word in zip(starts, words, strict=False)]
        assert found(find(words, is_split_into_words=True)[0]) == entities(tagged, text, spans)
        own = predict(tagger, tokenizer, [[text[start:end] for start, end in split_words(text)]])[0]
        result = find(text)
        assert found(result) == entities(own, text, split_words(text))
        assert [text[entity["start"] : entity["end"]] for entity in result] == [entity["word"] for entity in result]


@pytest.mark.parametrize("side", ["left", "right"])
def test_batches_padded_on_either_side_change_nothing(tagger, tokenizer, side):
    texts = [" ".join(words) for words in SENTENCES]
    find = pipeline("pico-ner", tagger, tokenizer=tokenizer)
    alone = [found(find(text)) for text in texts]
    find.tokenizer.padding_side = side
    try:
        together = [found(result) for result in find(texts, batch_size=4)]
    finally:
        find.tokenizer.padding_side = "right"
    assert [[entity[:3] for entity in row] for row in together] == [[entity[:3] for entity in row] for row in alone]
    for row, expected in zip(together, alone, strict=True):
        assert [entity[3] for entity in row] == pytest.approx([entity[3] for entity in expected], abs=1e-4)


def test_lines_are_sentences_and_places_count_from_the_start_of_the_text(tagger, tokenizer):
    find = pipeline("pico-ner", tagger, tokenizer=tokenizer)
    first, second = "  ab cdefgh ij .", "gh xyz"
    shift = len(first) + 2
    expected = found(find(first)) + [(e[0], e[1] + shift, e[2] + shift, e[3]) for e in found(find(second))]
    assert found(find(f"{first}\r\n{second}\n\n")) == expected
    assert find("") == find(" \n") == []


def test_words_are_returned_on_request_and_options_without_effect_are_errors(tagger, tokenizer):
    find = pipeline("pico-ner", tagger, tokenizer=tokenizer)
    text = "ab cdefgh ij ."
    (tagged,) = predict(tagger, tokenizer, [text.split()])
    words = find(text, aggregation_strategy="none", ignore_labels=[])
    assert [word["entity"] for word in words] == tagged.tags
    assert [word["word"] for word in words] == tagged.tokens
    with pytest.raises(TypeError, match="stride"):
        find(text, stride=2)
    with pytest.raises(ValueError, match="is_split_into_words=False, but the input is list"):
        find([[text]])


def test_words_beyond_the_length_of_the_model_are_reported(tagger, tokenizer, caplog):
    tagger.config.max_seq_len = 4
    find = pipeline("pico-ner", tagger, tokenizer=tokenizer)
    words = find(" ".join(["ab"] * 9), aggregation_strategy="none", ignore_labels=[])
    (tagged,) = predict(tagger, tokenizer, [["ab"] * 9])
    assert len(words) == 9 - tagged.truncated
    assert f"{tagged.truncated} words beyond 4 sub-words of a line are not tagged" in caplog.text


def test_bfloat16_on_a_cpu_finds_entities(tagger, tokenizer):
    find = pipeline("pico-ner", tagger.to(torch.bfloat16), tokenizer=tokenizer)
    assert all(0 < entity["score"] <= 1 for entity in find("ab cdefgh ij ."))
