from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import regex
import torch
from word_language import tokenized

from pico_maml.trainers.word_classes import counting, spelling_table
from pico_maml.trainers.word_classes.counting import WordCounter, count_neighbours

DOCUMENTS = [
    "- The cat saw the dog, the dog saw The cat; it's 3 o'clock. -",
    "- The dog\nran: cat and dog ran. кот и cat -",
    "- cat -",
] * 3


@pytest.mark.parametrize("chunk", [2**20, 1])
@pytest.mark.parametrize("contexts", [1500, 3])
def test_counts_are_those_of_a_reader_within_a_document_and_skip_what_is_no_word(contexts, chunk, monkeypatch):
    monkeypatch.setattr(counting, "CONTEXTS", contexts)
    monkeypatch.setattr(counting, "CHUNK_TOKENS", chunk)
    tokenizer, blocks = tokenized(DOCUMENTS, 300)
    found = count_neighbours(blocks, tokenizer, spelling_table(tokenizer, len(tokenizer)), 4, 0)
    read = [regex.findall(r"\p{L}+(?:'\p{L}+)*", text) for text in DOCUMENTS]
    words = Counter(word for text in read for word in text)
    assert dict(zip(found.spellings, found.counts.tolist(), strict=True)) == {
        word: count for word, count in words.items() if count >= 4
    }
    assert found.counts.tolist() == sorted(found.counts.tolist(), reverse=True)
    frequent = found.spellings[:contexts]
    pairs = Counter(pair for text in read for pair in pairwise(text))
    left = [[pairs[context, word] for context in frequent] for word in found.spellings]
    right = [[pairs[word, context] for context in frequent] for word in found.spellings]
    assert found.neighbours.toarray().tolist() == np.hstack([left, right]).tolist()


def test_a_text_of_many_chunks_has_the_counts_of_all(monkeypatch):
    tokenizer, blocks = tokenized(DOCUMENTS, 300)
    table = spelling_table(tokenizer, len(tokenizer))
    once = count_neighbours(blocks, tokenizer, table, 2, 0)
    monkeypatch.setattr(counting, "CHUNK_TOKENS", 1)  # the later chunks have no new word
    thrice = count_neighbours([*blocks, *blocks, *blocks], tokenizer, table, 6, 0)
    assert thrice.spellings == once.spellings
    assert thrice.counts.tolist() == (3 * once.counts).tolist()
    assert (thrice.neighbours.toarray() == 3 * once.neighbours.toarray()).all()
    assert thrice.tokens == 3 * once.tokens


def test_memory_is_bounded_and_frequent_words_are_not_lost():
    generator = torch.Generator().manual_seed(0)
    counter = WordCounter(most=200)
    truth = torch.zeros(100_000, dtype=torch.long)
    for _ in range(40):
        # Ten frequent words among rare ones that are hardly ever seen twice.
        numbers = torch.cat([torch.arange(10).repeat(5), torch.randint(10, 100_000, (150,), generator=generator)])
        counter.add(numbers)
        truth += torch.bincount(numbers, minlength=len(truth))
        assert len(counter.numbers) <= 200
    assert counter.numbers[:10].tolist() == list(range(10))
    assert counter.counts[:10].tolist() == [200] * 10
    low = truth[counter.numbers] - counter.counts
    assert 0 <= int(low.min()) <= int(low.max()) <= counter.lost
    assert 0 < counter.lost < 60


def test_no_more_than_the_most_frequent_words_have_their_neighbours_counted(monkeypatch):
    monkeypatch.setattr(counting, "MOST_WORDS", 2)
    tokenizer, blocks = tokenized(DOCUMENTS, 300)
    found = count_neighbours(blocks, tokenizer, spelling_table(tokenizer, len(tokenizer)), 1, 0)
    assert found.spellings == ["cat", "dog"]
    assert found.neighbours.shape == (2, 4)
