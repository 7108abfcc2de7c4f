import torch

from pico_maml.trainers.corpus.word_count import WordStartCounter

TEXTS = [" one two  three\nfour-five\n\nsix, 7 8.5", "don't\tstop  ", " naïve café 東京 είναι", "\n\nA B\nC"]


def test_words_are_those_between_white_space(tokenizer):
    counter = WordStartCounter(tokenizer, len(tokenizer) + 5)
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        # The word that a row begins with may have begun before it.
        assert counter.count(torch.tensor([ids])) == len(text.split()) - (not text[:1].isspace()), text


def test_a_word_begins_after_the_end_of_a_text(tokenizer):
    counter = WordStartCounter(tokenizer, len(tokenizer))
    ids = tokenizer(" one", add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    ids += tokenizer("two three", add_special_tokens=False)["input_ids"]
    assert counter.count(torch.tensor([ids, ids])) == 2 * 3
