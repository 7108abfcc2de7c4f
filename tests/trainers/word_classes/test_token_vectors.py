import torch
from torch import nn
from word_language import language, tokenized, vocabulary

from pico_maml.trainers.word_classes.token_vectors import start_embedding, token_vectors


def word_tokens(script: str):
    """A tokenizer in which every word of a language is one token, its blocks, and the token ids of each class."""
    tokenizer, blocks = tokenized(language(script), 700)
    ids = [[tokenizer(f" {word}")["input_ids"] for word in words] for words in vocabulary(script)]
    assert all(len(row) == 1 for rows in ids for row in rows)
    return tokenizer, blocks, torch.tensor(ids)[:, :, 0]


def test_tokens_of_a_class_have_like_vectors():
    tokenizer, blocks, ids = word_tokens("latin")
    vectors = token_vectors(blocks, len(tokenizer) + 3, 8, 0, seed=0)
    assert vectors.shape == (len(tokenizer) + 3, 8)
    own = torch.nn.functional.normalize(vectors[ids].mean(1), dim=-1)  # (classes, 8)
    nearest = (vectors[ids] @ own.T).argmax(-1)
    assert nearest.eq(torch.arange(len(ids))[:, None]).all()
    seen = torch.bincount(torch.as_tensor(blocks[0]["input_ids"]).long(), minlength=len(vectors)) >= 6
    assert torch.equal(vectors.norm(dim=1) > 0.5, seen)
    torch.testing.assert_close(vectors.norm(dim=1)[seen], torch.ones(int(seen.sum())))
    assert torch.equal(vectors, token_vectors(blocks, len(tokenizer) + 3, 8, 0, seed=0))


def test_every_pair_of_tokens_is_counted_once_however_the_text_is_cut():
    tokenizer, whole, _ = word_tokens("latin")
    text = torch.as_tensor(whole[0]["input_ids"])
    cut = [{"input_ids": text[i : i + 65], "document": torch.ones(65)} for i in range(0, len(text) - 65, 64)]
    one = [{"input_ids": text[: 64 * len(cut) + 1], "document": torch.ones(64 * len(cut) + 1)}]
    pieces, piece = (token_vectors(rows, len(tokenizer), 8, 0, seed=0) for rows in (cut, one))
    torch.testing.assert_close(pieces @ pieces.T, piece @ piece.T, atol=1e-4, rtol=0)


def test_an_embedding_keeps_its_deviation_and_the_rows_without_a_vector():
    torch.manual_seed(0)
    embedding = nn.Embedding(500, 64)
    nn.init.normal_(embedding.weight, std=0.02)
    before = embedding.weight.clone()
    vectors = nn.functional.normalize(torch.randn(500, 64), dim=1)
    vectors[::5] = 0
    start_embedding(embedding, vectors)
    assert torch.equal(embedding.weight[::5], before[::5])
    changed = embedding.weight[1::5]
    torch.testing.assert_close(nn.functional.normalize(changed, dim=1), vectors[1::5])
    assert abs(float(changed.detach().std()) / 0.02 - 1) < 0.03
    assert embedding.weight.requires_grad


def test_more_dimensions_than_the_text_has_are_zero():
    blocks = [{"input_ids": torch.arange(9) % 4, "document": torch.ones(9)}] * 9
    vectors = token_vectors(blocks, 6, 50, 0, seed=0)
    assert vectors.shape == (6, 50)
    assert vectors[:, 12:].abs().max() == 0
