import pytest

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import WordTable, train_tokenizer
from pico_maml.trainers.corpus.word_forms import casefolded, check_held_out_rule, held_out_places

SENTENCE = "The cat walks, the dog walked and THE bird was walking; Élan, élan and ÉLAN; die Straße und STRASSE"
RUSSIAN = "Кошка и кошка идёт, КОШКА идёт домой и Домой"


def single_tokens(tokenizer, table) -> dict[str, float]:
    """The place of every word that is one token, by its text without the space."""
    ids = table.is_word.nonzero().flatten().tolist()
    return {tokenizer.decode([i]).strip(): float(table.places[i]) for i in ids}


@pytest.mark.parametrize(
    ("one", "other"),
    [("The", "the"), ("Straße", "STRASSE"), ("ÉLAN", "e\u0301lan"), ("КОШКА", "кошка"), ("ΟΔΟΣ", "οδος")],
)
def test_case_variants_and_encodings_of_accents_are_one_form(one, other):
    assert casefolded(one) == casefolded(other)


def test_different_words_are_different_forms():
    assert len({casefolded(word) for word in ("the", "then", "thé", "die", "кошка", "猫")}) == 6


def test_a_share_holds_out_that_share_of_forms_and_a_larger_one_holds_out_more():
    place = held_out_places("form")
    places = [place(f"word{i}") for i in range(20_000)]
    for share in (0.1, 0.3):
        # Binomial: the standard error is at most 0.0033.
        assert sum(p < share for p in places) / len(places) == pytest.approx(share, abs=0.013)


def test_stems_put_inflections_on_one_side():
    place = held_out_places("stem:english")
    assert place("walks") == place("walked") == place("walking") == place("walk")
    assert place("walk") != place("talk")
    assert len({held_out_places("form")(word) for word in ("walks", "walked", "walking")}) == 3
    assert held_out_places("stem:german")("häuser") == held_out_places("stem:german")("haus")


def test_two_tokenizers_hold_out_the_same_words():
    text = [f" {SENTENCE} {RUSSIAN}"] * 50
    small = train_tokenizer(text, 330)
    large = train_tokenizer([line.lower() for line in text] + text, 900)
    for rule in ("form", "stem:english"):
        places, others = (
            single_tokens(tokenizer, WordTable.from_tokenizer(tokenizer, len(tokenizer), rule))
            for tokenizer in (small, large)
        )
        shared = set(places) & set(others)
        assert len(shared) >= 5
        assert all(places[word] == others[word] for word in shared)
        assert others["The"] == others["the"] == others["THE"]
        assert others["Кошка"] == others["кошка"] == others["КОШКА"]


def test_no_word_of_the_olmo_tokenizer_is_held_out_while_its_case_variant_is_trained(shared):
    from transformers import PreTrainedTokenizerFast

    olmo = PreTrainedTokenizerFast(tokenizer_file=str(next((shared / "tokenizer").glob("*.json"))))
    training, held_out = WordTable.from_tokenizer(olmo, 50304, "form").split(0.1)
    trained, unseen = (
        {casefolded(olmo.decode([i]).strip()) for i in table.is_word.nonzero().flatten()}
        for table in (training, held_out)
    )
    assert not trained & unseen
    assert 0.08 < len(unseen) / len(trained | unseen) < 0.12


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("word", "held_out_rule is 'word': give form, id or stem:LANGUAGE"),
        ("stem", "held_out_rule is 'stem': give form, id or stem:LANGUAGE"),
        ("stem:klingon", "no stemmer of that language: give one of .*english"),
    ],
)
def test_unknown_rules_and_languages_are_input_errors(rule, message):
    with pytest.raises(InputError, match=message):
        check_held_out_rule(rule)
