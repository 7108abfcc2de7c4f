import pytest

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus.word_forms import casefolded, check_held_out_rule, held_out_places


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The", "the"),
        ("Straße", "STRASSE"),
        ("ÉLAN", "e\u0301lan"),
        ("КОШКА", "кошка"),
        ("ΟΔΟΣ", "οδος"),
        ("don\u2019t", "don't"),
    ],
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
