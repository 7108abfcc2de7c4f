"""Episodes whose classes are forms: words of one token or more, in any case."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pico_maml.trainers import sample_episode
from pico_maml.trainers.corpus import FormTable, WordTable, train_tokenizer
from pico_maml.trainers.corpus.word_forms import word_number
from pico_maml.trainers.episodes import READOUTS, count_words, episode_generator, sample_stream_episode

WORDS = [a + b for a in ("un", "re", "mis", "over") for b in ("do", "lead", "take", "turn", "write")]
LENGTH, WINDOW = 48, 8


def text(seed: int, words: int) -> str:
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randint(len(WORDS), (words,), generator=generator).tolist()
    cases = torch.randint(3, (words,), generator=generator).tolist()
    return "".join(
        " " + [WORDS[i], WORDS[i].title(), WORDS[i].upper()][case] for i, case in zip(draws, cases, strict=True)
    )


TOKENIZER = train_tokenizer([text(0, 2000)], 330)
MASK = TOKENIZER.mask_token_id
TABLE = FormTable.from_tokenizer(TOKENIZER, len(TOKENIZER), "form")
FORMS = {word_number(word): word for word in WORDS}


def pool(seed: int, rows: int) -> torch.Tensor:
    ids = TOKENIZER(text(seed, rows * LENGTH))["input_ids"]
    return torch.tensor(ids[: rows * LENGTH]).view(rows, LENGTH)


def tokens_of_places(ids: torch.Tensor, word: int) -> list[set[int]]:
    """The flat positions of each place of a word."""
    places = TABLE.find(ids)
    mine = places.words == word
    return [set(range(a, b)) for a, b in zip(places.starts[mine].tolist(), places.ends[mine].tolist(), strict=True)]


def test_the_tokenizer_has_words_of_one_token_and_of_several():
    places = TABLE.find(pool(1, 20))
    lengths = (places.ends - places.starts).bincount()
    assert lengths[1] > 20
    assert lengths[2:].sum() > 20
    assert set(places.words[places.whole].tolist()) <= set(FORMS)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), readout=st.sampled_from(READOUTS), held_out=st.sampled_from([0.0, 0.3]))
def test_hidden_words_are_whole_and_stand_nowhere_in_their_window(seed, readout, held_out):
    ids, (words, unseen) = pool(seed, 60), TABLE.split(held_out)
    ways, shots, queries = 3, 2, 1
    options = {"words": words, "window": WINDOW, "readout": readout, "max_frequency": 1.0}
    episode = sample_episode(ids, MASK, ways, shots, queries, episode_generator(seed, 0, 0), **options)
    if episode is None:
        assert readout == "last", "few words are one token"
        return
    assert set(episode.words.tolist()) <= set(FORMS) - set(unseen.find(ids).words.tolist())
    offset = {"mask": WINDOW - 1, "previous": WINDOW, "last": WINDOW // 2}[readout]
    windows = ids.unfold(1, WINDOW, 1)
    for examples in (episode.support, episode.query):
        for row, label in zip(examples.ids, examples.labels, strict=True):
            places = tokens_of_places(ids, int(episode.words[label]))
            starts = torch.nonzero(((windows == row) | (row == MASK)).all(-1)).tolist()
            begins = [r * LENGTH + column for r, column in starts]
            hidden = [(begin, place) for begin in begins for place in places if min(place) == begin + offset]
            assert hidden, "the class stands where the window says"
            if readout == "last":
                hidden = [(begin, place) for begin, place in hidden if len(place) == 1]
            begin, place = hidden[0]
            window = set(range(begin, begin + WINDOW)) - place
            assert not any(window & other for other in places), "no token of another place of the word"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_in_the_stream_a_form_is_hidden_at_its_first_place_in_a_row(seed):
    past, batch = pool(seed, 40), pool(seed + 1, 20)
    generator = episode_generator(seed, 0, 0)
    episode = sample_stream_episode(
        past, batch, MASK, 3, 2, 1, generator, words=TABLE, window=WINDOW, max_frequency=1.0
    )
    for ids, examples in ((past, episode.support), (batch, episode.query)):
        for row, position, label in zip(examples.rows, examples.positions, examples.labels, strict=True):
            places = tokens_of_places(ids[row : row + 1], int(episode.words[label]))
            assert min(min(place) for place in places) == position + 1


@pytest.mark.parametrize("readout", ["mask", "previous"])
def test_words_of_several_tokens_and_case_variants_make_more_classes(readout):
    ids, options = pool(3, 20), {"window": WINDOW, "readout": readout, "max_frequency": 1.0}
    by_id = WordTable.from_tokenizer(TOKENIZER, len(TOKENIZER))
    forms = count_words(ids, MASK, 2, 1, words=TABLE, **options)
    assert forms == len(WORDS)
    assert count_words(ids, MASK, 2, 1, words=by_id, **options) < forms
