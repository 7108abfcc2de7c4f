import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import WordTable, load_tokenizer, train_tokenizer


def test_trained_tokenizer_survives_saving_and_loses_no_text(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "  Ünïcode, 中文 and\n\ttabs  "
    assert loaded.decode(loaded(text)["input_ids"]) == text
    assert (loaded.eos_token, loaded.pad_token, loaded.mask_token) == ("<|endoftext|>", "<|padding|>", "[MASK]")
    assert len(loaded) == len(tokenizer) == 400
    offsets = loaded("ab cd  ef", return_offsets_mapping=True)["offset_mapping"]
    assert {(0, 2), (3, 5), (7, 9)} <= set(offsets), "a word is cut out without the space before it"


def test_a_tokenizer_without_a_mask_gets_one(tokenizer, tmp_path):
    maskless = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, eos_token="<|endoftext|>")
    maskless.save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).mask_token == "[MASK]"


def test_olmo_tokenizer_with_its_mask_has_the_published_length(shared):
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


def test_too_small_a_vocabulary_and_missing_tokenizers(tmp_path, tokenizer):
    with pytest.raises(InputError, match="vocab_size 100 is too small"):
        train_tokenizer(["text"], 100)
    with pytest.raises(InputError, match="no tokenizer at"):
        load_tokenizer(str(tmp_path / "nothing"))
    endless = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer)
    endless.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has no end-of-text token"):
        load_tokenizer(str(tmp_path))
