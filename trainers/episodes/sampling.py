"""SMLMT episodes: N-way K-shot word identification tasks made from unlabelled text (Bansal et al. 2020).

An episode hides each of N words in K support and Q query windows of text; the task is to say which of the N words
is hidden. Sampling is a pure function of the token ids and a generator: it knows no model and no trainer.
"""

from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

from ..corpus.words import WordTable
from ..errors import InputError
from .occurrences import Occurrences, find_occurrences

READOUTS = ("mask", "previous", "last")


@dataclass(frozen=True)
class Examples:
    """A support or a query set: M states to classify, each at a position of a row of text.

    Attributes:
        ids: (R, L) token ids.
        rows, positions: (M,) which state of which row is classified.
        labels: (M,) classes in [0, N).
    """

    ids: Tensor
    rows: Tensor
    positions: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Examples":
        """The same examples on a device."""
        return Examples(*(t.to(device) for t in (self.ids, self.rows, self.positions, self.labels)))


@dataclass(frozen=True)
class Episode:
    """One task. Examples are grouped by class, and the order of the classes is random.

    Attributes:
        support: N * K examples; the hidden word masked or cut off.
        query: N * Q examples.
        words: (N,) the token id hidden in the examples of each class.
    """

    support: Examples
    query: Examples
    words: Tensor

    def to(self, device: torch.device) -> "Episode":
        """The same episode on a device."""
        return Episode(self.support.to(device), self.query.to(device), self.words.to(device))


def episode_generator(seed: int, step: int, micro_batch: int) -> torch.Generator:
    """The source of randomness of one micro-batch: the same on every rank and after a resume, with nothing to save."""
    digest = blake2b(f"{seed}/{step}/{micro_batch}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest) >> 1)


def sample_episode(
    token_ids: Tensor,
    mask_id: int,
    ways: int,
    shots: int,
    queries: int,
    generator: torch.Generator,
    *,
    words: WordTable | None = None,
    window: int = 32,
    readout: str = "mask",
    max_frequency: float = 0.005,
) -> Episode | None:
    """Draw an N-way K-shot episode from a pool of text; each example is a window of its own.

    A window holds the `window` tokens that end at the hidden word (a causal model sees nothing to its right), so
    a word counts only where it has that much left context in its row, and occurs nowhere else in the window.

    Args:
        token_ids: (R, T) rows of running text.
        mask_id: the token that hides the word.
        ways: N, classes.
        shots: K, support windows of a class.
        queries: Q, query windows of a class.
        generator: a CPU generator; the same state gives the same episode.
        words: which ids may be hidden; without it any id but the mask.
        window: L, tokens in a window.
        readout: `mask` reads the state of the mask that stands for the word (the paper's); `previous` the state of
            the token before it, no mask needed; `last` the end of a window with the masked word in its middle.
        max_frequency: words that make up more than this share of the pool (function words) are left out.

    Returns:
        The episode on the CPU, or None where fewer than `ways` words occur often enough.

    Raises:
        InputError: a count that makes no task, an unknown readout, or a window that does not fit a row.
    """
    _check(ways, shots, queries, window, readout, token_ids.shape[1])
    token_ids = token_ids.cpu().long()
    pool = _find(token_ids, mask_id, shots + queries, words, window, readout, max_frequency)
    classes = _draw_classes(pool.per_word() >= shots + queries, ways, generator)
    if classes is None:
        return None
    hidden = pool.draw(classes, shots + queries, generator)  # (N, K + Q)
    return Episode(
        support=_windows(token_ids, hidden[:, :shots], mask_id, window, readout),
        query=_windows(token_ids, hidden[:, shots:], mask_id, window, readout),
        words=token_ids.reshape(-1)[hidden[:, 0]],
    )


def sample_stream_episode(
    past_ids: Tensor,
    batch_ids: Tensor,
    mask_id: int,
    ways: int,
    shots: int,
    queries: int,
    generator: torch.Generator,
    *,
    words: WordTable | None = None,
    window: int = 32,
    max_frequency: float = 0.005,
) -> Episode | None:
    """Draw an episode whose states next-token prediction has computed anyway: those of the tokens before the words.

    Query examples lie in the current batch, support examples in batches before it. A state has seen its whole row up
    to there, so a word counts only where it stands in its row for the first time.

    Args:
        past_ids: (R, T) rows of earlier batches.
        batch_ids: (B, T) rows of the current batch.
        window: L, tokens of left context that a word needs.
        Others: see `sample_episode`.

    Returns:
        The episode on the CPU; `ids` are those of `past_ids` and `batch_ids`, nothing is masked. None where fewer
        than `ways` words occur often enough on both sides.
    """
    length = batch_ids.shape[1]
    _check(ways, shots, queries, window, "previous", length)
    past_ids, batch_ids = past_ids.cpu().long(), batch_ids.cpu().long()
    both = torch.cat([past_ids, batch_ids])
    found = find_occurrences(
        both,
        shots + queries,
        -window,
        window,
        (0, 0),
        mask_id=mask_id,
        words=words,
        max_frequency=max_frequency,
    )
    found = found.where(_first_in_row(both, found.positions))
    border = past_ids.numel()
    past, current = found.where(found.positions < border), found.where(found.positions >= border)
    classes = _draw_classes((past.per_word() >= shots) & (current.per_word() >= queries), ways, generator)
    if classes is None:
        return None
    support = past.draw(classes, shots, generator)
    query = current.draw(classes, queries, generator)
    return Episode(
        support=_states(past_ids, support - 1),
        query=_states(batch_ids, query - 1 - border),
        words=both.reshape(-1)[support[:, 0]],
    )


def count_words(
    token_ids: Tensor,
    mask_id: int,
    occurrences: int,
    *,
    words: WordTable | None = None,
    window: int = 32,
    readout: str = "mask",
    max_frequency: float = 0.005,
) -> int:
    """Words that could be classes of an episode: at least `occurrences` (K + Q) usable windows in the pool."""
    _check(2, 1, 1, window, readout, token_ids.shape[1])
    pool = _find(token_ids.cpu().long(), mask_id, occurrences, words, window, readout, max_frequency)
    return int((pool.per_word() >= occurrences).sum())


def _check(ways: int, shots: int, queries: int, window: int, readout: str, length: int) -> None:
    for name, value, least in (("n_way", ways, 2), ("k_shot", shots, 1), ("n_query", queries, 1)):
        if value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
    if readout not in READOUTS:
        raise InputError(f"readout must be one of {', '.join(READOUTS)}, got {readout!r}")
    if not 2 <= window < length:
        raise InputError(f"episode_window must be at least 2 and shorter than a block of {length}, got {window}")


def _find(
    token_ids: Tensor,
    mask_id: int,
    least: int,
    words: WordTable | None,
    window: int,
    readout: str,
    max_frequency: float,
) -> Occurrences:
    start = _window_start(window, readout)
    # With `last` the windows of neighbours reach over each other from both sides, so they are kept a window apart.
    apart = (window - 1, window - 1) if readout == "last" else (-start, start + window - 1)
    return find_occurrences(
        token_ids, least, start, window, apart, mask_id=mask_id, words=words, max_frequency=max_frequency
    )


def _window_start(window: int, readout: str) -> int:
    """Where the window of a hidden word starts, counted from the word."""
    return {"mask": 1 - window, "previous": -window, "last": -(window // 2)}[readout]


def _draw_classes(often: Tensor, ways: int, generator: torch.Generator) -> Tensor | None:
    candidates = torch.nonzero(often).flatten()
    if len(candidates) < ways:
        return None
    return candidates[torch.randperm(len(candidates), generator=generator)[:ways]]


def _windows(token_ids: Tensor, hidden: Tensor, mask_id: int, window: int, readout: str) -> Examples:
    """Examples for (N, K) flat positions of hidden words, each in a window of its own."""
    start = _window_start(window, readout)
    places = (hidden + start).reshape(-1, 1) + torch.arange(window)
    ids = token_ids.reshape(-1)[places]  # (N * K, L)
    if readout != "previous":
        ids[:, -start] = mask_id
    rows = torch.arange(len(ids))
    return Examples(ids, rows, torch.full_like(rows, window - 1), _labels(hidden))


def _states(token_ids: Tensor, read: Tensor) -> Examples:
    """Examples for (N, K) flat positions of states in running text."""
    flat, length = read.reshape(-1), token_ids.shape[1]
    return Examples(token_ids, flat // length, flat % length, _labels(read))


def _labels(places: Tensor) -> Tensor:
    return torch.arange(len(places)).repeat_interleave(places.shape[1])


def _first_in_row(token_ids: Tensor, positions: Tensor) -> Tensor:
    """(P,) bool: the token stands nowhere before in its row."""
    key = token_ids * len(token_ids) + torch.arange(len(token_ids))[:, None]  # one number a token and row
    ranked, order = torch.sort(key.reshape(-1), stable=True)
    first = torch.ones(token_ids.numel(), dtype=torch.bool)
    first[order[1:][ranked[1:] == ranked[:-1]]] = False
    return first[positions]
