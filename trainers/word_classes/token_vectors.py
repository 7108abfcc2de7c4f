"""Vectors of tokens from their neighbours in the training text, for an embedding to start from."""

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from .counting import CONTEXTS, Blocks, chunks, pairs
from .neighbour_vectors import neighbour_vectors

# Rarer tokens have no vector.
MINIMUM = 6


def token_vectors(blocks: Blocks, vocab_size: int, dimensions: int, tokens: int, seed: int) -> Tensor:
    """Return (V, D) vectors of the token ids as `neighbour_vectors` makes them of words, in fp32.

    They are of length 1, or zero for tokens that the first `tokens` tokens of the text (0: all) have fewer than six
    times. The text is read twice.
    """
    counts = torch.zeros(vocab_size, dtype=torch.long)
    for ids, _ in chunks(blocks, tokens):
        counts += torch.bincount(ids[:, 1:].flatten(), minlength=vocab_size)
    frequent = torch.argsort(counts, descending=True, stable=True)[:CONTEXTS]
    contexts = torch.full((vocab_size,), -1)
    contexts[frequent] = torch.arange(len(frequent))
    words = torch.where(counts >= MINIMUM, torch.arange(vocab_size), -1)
    neighbours = csr_array((vocab_size, 2 * len(frequent)), dtype=np.int32)
    for ids, documents in chunks(blocks, tokens):
        row = torch.arange(len(ids))[:, None].expand_as(ids)
        text, flat = torch.stack([row, documents]).flatten(1), ids.flatten()
        together = (text[:, 1:] == text[:, :-1]).all(0)
        neighbours = neighbours + pairs(words[flat], contexts[flat], together, neighbours.shape)
    found = neighbour_vectors(neighbours, dimensions, seed)
    vectors = torch.zeros(vocab_size, dimensions)
    vectors[:, : found.shape[1]] = torch.from_numpy(found)
    return vectors


@torch.no_grad()
def start_embedding(embedding: nn.Embedding, vectors: Tensor) -> None:
    """Replace the rows of an embedding that have a vector; the new rows deviate from 0 as the old ones do."""
    found = vectors.norm(dim=1) > 0
    length = embedding.weight.std() * vectors.shape[1] ** 0.5
    embedding.weight[found] = length * vectors[found].to(embedding.weight)
