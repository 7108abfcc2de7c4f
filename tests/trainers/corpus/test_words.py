from transformers import PreTrainedTokenizerFast

from pico_maml.trainers.corpus import WordTable


def test_olmo_tokenizer_has_the_published_length_and_many_words(shared):
    olmo = PreTrainedTokenizerFast(
        tokenizer_file=str(next((shared / "tokenizer").glob("*.json"))), eos_token="<|endoftext|>"
    )
    olmo.add_special_tokens({"mask_token": "[MASK]"})
    assert len(olmo) == 50281
    table = WordTable.from_tokenizer(olmo, 50304)
    assert table.is_word.sum() > 15_000
    for word, expected in ((" London", True), ("London", False), (" 1984", False), (" don't", False)):
        ids = olmo(word)["input_ids"]
        assert (len(ids) == 1 and bool(table.is_word[ids[0]])) is expected, word


def test_words_start_with_a_space_and_are_letters(tokenizer, words):
    for i, token in enumerate(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))):
        assert bool(words.is_word[i]) is (token.startswith("Ġ") and token[1:].isalpha()), token
        assert not (words.is_word[i] and words.continues[i])
    assert words.is_word.sum() >= 100
    for text, continues in (("a", True), (",", False), (" ab", False), ("<|endoftext|>", False), ("[MASK]", False)):
        (i,) = tokenizer(text)["input_ids"]
        assert bool(words.continues[i]) is continues, text
