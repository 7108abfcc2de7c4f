import pytest
import regex
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from pico_maml.trainers.corpus import FormTable, WordTable, load_words, spellings, train_tokenizer
from pico_maml.trainers.corpus.word_forms import casefolded, held_out_places, word_number

TEXT = (
    " The cat (the Cat!) walks; the dog walked and THE bird wasn't walking: well-known. Élan, élan and ÉLAN 3 times,"
    " die Straße und STRASSE, x1 foo_bar 'quoted' 1st. Кошка и кошка идёт, КОШКА идёт домой. हिन्दी भाषा है ΟΔΟΣ οδός."
)
# What a reader takes for a word: letters with their marks, and joiners between letters, with no digit beside them.
READER = regex.compile(
    r"(?<![\p{L}\p{M}\p{N}'_-])\p{L}[\p{L}\p{M}]*(?:['_-]\p{L}[\p{L}\p{M}]*)*(?![\p{L}\p{M}\p{N}'_-])"
)

TOKENIZERS = {size: train_tokenizer([TEXT, TEXT.lower()] * 30, size) for size in (262, 330, 900)}


@pytest.fixture(params=TOKENIZERS, ids=lambda size: f"vocabulary of {size}")
def tokenizer(request):
    # A vocabulary of 262 cuts nearly every word, and letters beyond ASCII into their bytes.
    return TOKENIZERS[request.param]


def found(table, tokenizer, text) -> list[int]:
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    places = table.find(ids)
    return places.words[places.whole].tolist()


def test_words_are_those_of_a_reader_for_every_tokenizer(tokenizer):
    table = FormTable.from_tokenizer(tokenizer, len(tokenizer) + 5, "form")
    expected = [word_number(casefolded(word)) for word in READER.findall(TEXT)]
    assert len(expected) > 30
    assert found(table, tokenizer, TEXT + " .") == expected


def test_case_variants_are_one_word_and_lie_on_one_side(tokenizer):
    training, held_out = FormTable.from_tokenizer(tokenizer, len(tokenizer), "form").split(0.4)
    sides = [set(found(table, tokenizer, TEXT)) for table in (training, held_out)]
    assert not sides[0] & sides[1]
    assert min(map(len, sides)) > 5
    for variants in (" The cat, (the) THE cat.", " Кошка, кошка КОШКА.", " élan Élan ÉLAN."):
        words = [found(table, tokenizer, variants) for table in (training, held_out)]
        assert sorted(len(set(side)) for side in words) in ([0, 1], [0, 2], [1, 1])
        assert sum(len(side) for side in words) == len(READER.findall(variants))


def test_inflections_lie_on_one_side_of_the_stem_rule(tokenizer):
    table = FormTable.from_tokenizer(tokenizer, len(tokenizer), "stem:english")
    share = held_out_places("stem:english")("walk")
    for share_held_out, side in ((share - 1e-9, 0), (share + 1e-9, 1)):
        words = [set(found(part, tokenizer, TEXT)) for part in table.split(share_held_out)]
        walks = {word_number(word) for word in ("walks", "walked", "walking")}
        assert walks <= words[side]
        assert not walks & words[1 - side]


def test_a_word_at_the_edge_of_a_row_is_whole_only_where_nothing_can_go_on(tokenizer):
    table = FormTable.from_tokenizer(tokenizer, len(tokenizer), "form")
    ids = tokenizer(" cat dog bird")["input_ids"]
    places = table.find(torch.tensor([ids]))
    assert places.whole.tolist() == [True, True, False], "the last word may go on"
    (space,) = tokenizer(" ")["input_ids"]
    first = len(tokenizer(" cat")["input_ids"])
    cut = table.find(torch.tensor([tokenizer("cat dog bird")["input_ids"]]))
    assert cut.whole.tolist() == [False, True, False], "cat may end a longer word"
    rows = table.find(torch.tensor([[*ids[:first], space], [*ids[:first], space]]))
    assert rows.whole.tolist() == [True, True]
    assert rows.ends.tolist() == [first, 2 * first + 1]
    cut_by_rows = table.find(torch.tensor([[space, *ids[:first]], [*ids[:first][::-1], space]]))
    assert not cut_by_rows.whole[cut_by_rows.ends == first + 1].any(), "rows are not joined"
    assert not ((cut_by_rows.starts < first + 1) & (cut_by_rows.ends > first + 1)).any()


def test_a_token_of_letters_and_signs_belongs_to_no_word():
    tokenizer = train_tokenizer([" भाषा, भाषा," * 20], 300)
    assert "ा," in tokenizer.batch_decode([[i] for i in range(len(tokenizer))])
    assert found(FormTable.from_tokenizer(tokenizer, len(tokenizer), "form"), tokenizer, " भाषा, भाषा ।") == [
        word_number("भाषा")
    ]


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="abé-' .,1кñ—\u2019\n", max_size=60), st.sampled_from(sorted(TOKENIZERS)))
def test_no_word_is_found_that_a_reader_would_not_see(text, size):
    tokenizer = TOKENIZERS[size]
    table = FormTable.from_tokenizer(tokenizer, len(tokenizer), "form")
    reader = READER.findall(text.replace("\u2019", "'"))
    expected = {word_number(casefolded(word)) for word in reader}
    assert set(found(table, tokenizer, f". {text} .")) <= expected


def test_forgetting_spellings_changes_nothing(tokenizer, monkeypatch):
    table = FormTable.from_tokenizer(tokenizer, len(tokenizer), "form")
    texts = [TEXT, TEXT[60:], TEXT[:90]]
    expected = [found(table, tokenizer, text) for text in texts]
    monkeypatch.setattr(spellings, "MOST_SPELLINGS", 0)
    assert [found(table, tokenizer, text) for text in texts] == expected


def test_only_unknown_spellings_are_decoded(tokenizer, monkeypatch):
    table = FormTable.from_tokenizer(tokenizer, len(tokenizer), "form")
    expected = found(table, tokenizer, TEXT)
    monkeypatch.setattr(table.spellings, "_read", None)
    assert found(table, tokenizer, TEXT) == expected


def test_the_rule_chooses_single_ids_or_forms(tokenizer):
    assert isinstance(load_words(tokenizer, len(tokenizer), "id"), WordTable)
    assert isinstance(load_words(tokenizer, len(tokenizer), "stem:dutch"), FormTable)


def test_words_are_read_once_and_again_after_tokens_were_added(text):
    tokenizer = train_tokenizer(text, 300)
    words = load_words(tokenizer, 310, "form")
    assert load_words(tokenizer, 310, "form") is words
    assert load_words(tokenizer, 310, "id") is not words
    tokenizer.add_tokens(["zyzzyva"])
    assert load_words(tokenizer, 310, "form") is not words


def test_no_word_of_the_olmo_tokenizer_is_held_out_while_its_case_variant_is_trained(shared):
    olmo = PreTrainedTokenizerFast(tokenizer_file=str(next((shared / "tokenizer").glob("*.json"))))
    ids = WordTable.from_tokenizer(olmo, 50304).is_word.nonzero()
    space = torch.full_like(ids, olmo.convert_tokens_to_ids("Ġ"))
    rows = torch.cat([space, ids, space], 1)
    trained, unseen = (
        {casefolded(olmo.decode(olmo_id).strip()) for olmo_id in rows.reshape(-1)[table.find(rows).starts]}
        for table in FormTable.from_tokenizer(olmo, 50304, "form").split(0.1)
    )
    assert not trained & unseen
    assert len(trained | unseen) > 20_000
    assert 0.09 < len(unseen) / len(trained | unseen) < 0.11
