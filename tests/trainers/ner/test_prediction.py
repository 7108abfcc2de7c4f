import pytest
import torch

from pico_maml import PicoForTokenClassification
from pico_maml.modeling_pico.tagging_pico import split_words
from pico_maml.trainers import InputError
from pico_maml.trainers.ner import label_names
from pico_maml.trainers.ner.prediction import TaggedSentence, predict


@pytest.fixture
def tagger(config):
    for name, value in label_names().items():
        setattr(config, name, value)
    torch.manual_seed(0)
    return PicoForTokenClassification(config)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ann's well-known, no?", ["Ann's", "well-known", ",", "no", "?"]),
        ("Re\u0301ne\u0301 wrote 3,5", ["Re\u0301ne\u0301", "wrote", "3", ",", "5"]),
        ("他在Beijing。", ["他", "在", "Beijing", "。"]),
        ("سَلام، عمان", ["سَلام", "،", "عمان"]),
        ("  ", []),
    ],
)
def test_text_is_split_into_words_and_punctuation(text, words):
    assert [text[start:end] for start, end in split_words(text)] == words


@pytest.mark.parametrize(("subword", "decoding"), [("first", "argmax"), ("last", "argmax"), ("last", "iob2")])
def test_predictions_do_not_depend_on_the_batch(tagger, tokenizer, subword, decoding):
    tagger.config.labelled_subword, tagger.config.tag_decoding = subword, decoding
    sentences = [["ab", "cdefgh"], ["ij"], ["ab"] * 9, ["gh", "xyz", "ab"]]
    together = predict(tagger, tokenizer, sentences, tokens_at_once=16)
    for sentence, tagged in zip(sentences, together, strict=True):
        (alone,) = predict(tagger, tokenizer, [sentence])
        assert tagged.tokens == sentence
        assert tagged.tags == alone.tags
        assert tagged.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_no_sentences_have_no_tags(tagger, tokenizer):
    assert predict(tagger, tokenizer, []) == []


def test_with_iob2_decoding_no_entity_begins_with_i(tagger, tokenizer):
    with torch.no_grad():
        tagger.score.bias[2] = 100.0  # I-PER everywhere
    sentences = [["ab", "cdefgh", "ij"], ["gh"]]
    assert [tagged.tags for tagged in predict(tagger, tokenizer, sentences)] == [["I-PER"] * 3, ["I-PER"]]
    tagger.config.tag_decoding = "iob2"
    # One word that is not I-PER is the price, and B-PER is the cheapest way in.
    (long, short) = predict(tagger, tokenizer, sentences)
    assert long.tags == ["B-PER", "I-PER", "I-PER"]
    assert short.tags[0][0] != "I"
    assert max(long.probabilities[0], short.probabilities[0]) < 1e-6


def test_words_beyond_the_length_of_the_model_are_o_and_counted(tagger, tokenizer):
    tagger.config.max_seq_len = 4
    with torch.no_grad():
        tagger.score.bias[1] = 100.0
    (tagged,) = predict(tagger, tokenizer, [["ab"] * 9])
    kept = 9 - tagged.truncated
    assert 0 < kept < 9
    assert tagged.tags == ["B-PER"] * kept + ["O"] * tagged.truncated


def test_entities_have_the_mean_probability_of_their_tags():
    tagged = TaggedSentence(["New", "York", "is"], ["B-LOC", "I-LOC", "O"], [0.5, 0.9, 1.0], 0)
    (entity, score) = tagged.entities[0]
    assert (entity, score) == ((0, 2, "LOC"), pytest.approx(0.7))


def test_a_model_that_was_not_fine_tuned_is_an_error(model, config, tokenizer):
    with pytest.raises(InputError, match="the model knows the labels LABEL_0, LABEL_1"):
        predict(PicoForTokenClassification(config), tokenizer, [["ab"]])


def test_words_are_tokenized_as_in_fine_tuning(tagger, tokenizer):
    sentences = [["ab", "cdefgh", "ij"]]
    spaced = predict(tagger, tokenizer, sentences)
    tagger.config.space_before_words = True
    assert predict(tagger, tokenizer, sentences) == spaced, "models without a record have words with their space"
    tagger.config.space_before_words = False
    (bare,) = predict(tagger, tokenizer, sentences)
    assert bare.probabilities != spaced[0].probabilities
    first, second, third = (tokenizer(word, add_special_tokens=False)["input_ids"] for word in sentences[0])
    ids, starts = [*first, *second, *third], [0, len(first), len(first + second)]
    logits = tagger(input_ids=torch.tensor([ids])).logits[0, starts]
    assert bare.probabilities == pytest.approx(logits.softmax(-1).max(-1).values.tolist(), abs=1e-5)
