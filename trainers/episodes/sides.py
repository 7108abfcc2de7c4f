"""Keep the support and the query windows of a word apart: no document, and no text right before the word, in both."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .occurrences import Occurrences, first_of_each

RULES = ("different", "apart", "any")
# Support and query never have the same last tokens before their word.
CONTEXT = 4
# Of a text that is one document every fourth block is dropped, and the three between are a piece of their own.
PIECE = 4
NO_DOCUMENT = -1


def document_numbers(documents: Tensor | None, shape: torch.Size, rule: str) -> Tensor:
    """Return (R, T) numbers of the documents, or of what stands for them; NO_DOCUMENT where no word may be hidden.

    Without `documents` each row is a document of its own. With the rule `apart`, or where `different` has a single
    document, pieces stand for documents; rows of different pieces have at least one row between them.
    """
    row = torch.arange(shape[0])[:, None].expand(shape)
    single = documents is not None and bool((documents == documents[0, 0]).all())
    if rule == "apart" or (rule == "different" and single):
        return torch.where(row % PIECE == PIECE - 1, NO_DOCUMENT, row // PIECE)
    return row if documents is None or single else documents.cpu().long()


@dataclass(frozen=True)
class AnyPlaces:
    """Places of words, drawn without regard to documents; before a `border` lies support, from there on query."""

    places: Occurrences
    border: int | None

    def enough(self, shots: int, queries: int) -> Tensor:
        """Return (count,) bool: words with `shots` and `queries` places."""
        if self.border is None:
            return self.places.per_word() >= shots + queries
        past, current = self._parts(self.border)
        return (past.per_word() >= shots) & (current.per_word() >= queries)

    def draw(self, classes: Tensor, shots: int, queries: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw support (N, K) and query (N, Q) positions of words (N,) that have enough."""
        if self.border is None:
            support, query = self.places.draw(classes, shots + queries, generator).split([shots, queries], 1)
            return support, query
        past, current = self._parts(self.border)
        return past.draw(classes, shots, generator), current.draw(classes, queries, generator)

    def _parts(self, border: int) -> tuple[Occurrences, Occurrences]:
        before = self.places.positions < border
        return self.places.where(before), self.places.where(~before)


@dataclass(frozen=True)
class PlacesApart:
    """Places of words with their documents, of which each word gives some to support and others to query."""

    places: Occurrences
    documents: Tensor  #: (P,) document of each place
    support: Tensor  #: (P,) bool
    query: Tensor  #: (P,) bool

    def where(self, mask: Tensor) -> "PlacesApart":
        """Select places by a (P,) bool mask."""
        return PlacesApart(self.places.where(mask), self.documents[mask], self.support[mask], self.query[mask])

    def enough(self, shots: int, queries: int) -> Tensor:
        """Return (count,) bool: words whose documents can be divided into `shots` and `queries` places."""
        return self.divide(shots, queries)[1]

    def divide(self, shots: int, queries: int, order: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Choose documents for the queries of each word, one after the other until they have `queries` places.

        Args:
            shots, queries: K and Q.
            order: (P,) rank of each place: documents are chosen in the order of their first place. None: those with
                the fewest support places first, which leaves the most for the support set (with Q above 1, nearly).

        Returns:
            (P,) bool, the place lies in a document for queries; (count,) bool, K and Q places are there.
        """
        word, count = self.places.word, self.places.count
        if not len(word):
            return self.query, torch.zeros(count, dtype=torch.bool)
        first, last = self.documents.aminmax()
        span = last - first + 1
        pairs, pair = torch.unique(word * span + self.documents - first, return_inverse=True)  # a word in a document
        of_word = pairs // span
        supports, queried = (torch.bincount(pair[mask], minlength=len(pairs)) for mask in (self.support, self.query))
        rank = supports
        if order is not None:
            rank = torch.full((len(pairs),), len(order)).scatter_reduce(0, pair[self.query], order[self.query], "amin")
        chosen = torch.argsort(rank, stable=True)
        chosen = chosen[torch.argsort(of_word[chosen], stable=True)]
        queries_of_word = _sum(queried, of_word, count)
        before = queried[chosen].cumsum(0) - queried[chosen]
        before -= (queries_of_word.cumsum(0) - queries_of_word)[of_word[chosen]]
        for_query = torch.zeros(len(pairs), dtype=torch.bool)
        for_query[chosen] = (before < queries) & (queried[chosen] > 0)
        supports_left = _sum(supports * ~for_query, of_word, count)
        return for_query[pair], (supports_left >= shots) & (queries_of_word >= queries)

    def draw(self, classes: Tensor, shots: int, queries: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw support (N, K) and query (N, Q) positions of words (N,) that have enough."""
        mine = torch.zeros(self.places.count, dtype=torch.bool)
        mine[classes] = True
        drawn = self.where(mine[self.places.word])
        # The first query is any place, except where its document holds so many that too few are left for support.
        random, works = drawn.divide(shots, queries, torch.randperm(len(drawn.documents), generator=generator))
        for_query = torch.where(works[drawn.places.word], random, drawn.divide(shots, queries)[0])
        support, query = drawn.places.where(drawn.support & ~for_query), drawn.places.where(drawn.query & for_query)
        return support.draw(classes, shots, generator), query.draw(classes, queries, generator)


def keep_apart(
    places: Occurrences, token_ids: Tensor, documents: Tensor, start: int, window: int, border: int | None
) -> PlacesApart:
    """Select the places whose window lies in one document, and of those with the same text before a word the first.

    Args:
        places: places in `token_ids`.
        token_ids: (R, T) rows of text.
        documents: (R, T) from `document_numbers`.
        start: start of a window relative to the word.
        window: L, tokens in a window.
        border: flat position that divides support places from query places; None if each may be either.
    """
    flat = documents.reshape(-1)
    ends = torch.zeros_like(flat)
    ends[1:] = flat.diff() != 0
    ends = ends.cumsum(0)
    first = places.positions + min(start, 0)
    last = torch.maximum(places.positions, places.positions + start + window - 1)
    places = places.where((ends[first] == ends[last]) & (flat[places.positions] != NO_DOCUMENT))
    places = places.where(first_of_each(_contexts(places, token_ids.reshape(-1), min(CONTEXT, -start))))
    support = query = torch.ones_like(places.word, dtype=torch.bool)
    if border is not None:
        support, query = places.positions < border, places.positions >= border
    return PlacesApart(places, flat[places.positions], support, query)


def _contexts(places: Occurrences, flat: Tensor, tokens: int) -> Tensor:
    """Return (P,) 64-bit hashes of each place's word and the tokens before it."""
    values = torch.randint(-(2**62), 2**62, (int(flat.max()) + 1,), generator=torch.Generator().manual_seed(0))
    keys = places.word
    for distance in range(1, tokens + 1):
        keys = keys * 6364136223846793005 + values[flat[places.positions - distance]]
    return keys


def _sum(values: Tensor, groups: Tensor, count: int) -> Tensor:
    return torch.zeros(count, dtype=values.dtype).index_add(0, groups, values)
