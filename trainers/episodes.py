"""SMLMT episodes: N-way K-shot word identification tasks made from unlabelled text (Bansal et al. 2020).

An episode hides each of N words in K support and Q query windows of text; the task is to say which of the N words
is hidden. Sampling is a pure function of the token ids and a generator: it knows no model and no trainer.
"""

from dataclasses import dataclass, fields
from hashlib import blake2b

import torch
from torch import Tensor

from .corpus.words import WordTable
from .errors import InputError

READOUTS = ("mask", "previous", "last")


@dataclass(frozen=True)
class Episode:
    """One task. Labels are in [0, N); rows are grouped by class, and the order of the classes is random.

    Attributes:
        support_ids: (N * K, L) token ids of the support windows, the hidden word masked or cut off.
        support_positions: (N * K,) position in each window whose hidden state is classified.
        support_labels: (N * K,) class of each window.
        query_ids, query_positions, query_labels: the same for the N * Q query windows.
        words: (N,) the token id hidden in the windows of each class.
    """

    support_ids: Tensor
    support_positions: Tensor
    support_labels: Tensor
    query_ids: Tensor
    query_positions: Tensor
    query_labels: Tensor
    words: Tensor

    def to(self, device: torch.device) -> "Episode":
        """The same episode on a device."""
        return Episode(**{f.name: self.__dict__[f.name].to(device) for f in fields(self)})


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
    """Draw an N-way K-shot episode from a pool of text.

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
    pool = _Candidates.find(token_ids, mask_id, shots + queries, words, window, readout, max_frequency)
    if len(pool.classes) < ways:
        return None
    classes = pool.classes[torch.randperm(len(pool.classes), generator=generator)[:ways]]
    hidden = pool.draw(classes, shots + queries, generator)  # (N, K + Q)

    flat = token_ids.cpu().long().reshape(-1)
    offset = _window_offset(window, readout)
    start = hidden + offset
    windows = flat[start[..., None] + torch.arange(window)]  # (N, K + Q, L)
    if readout != "previous":
        windows[..., -offset] = mask_id
    read_at = torch.full(hidden.shape, window - 1)
    labels = torch.arange(ways)[:, None].expand(hidden.shape)
    support, query = slice(None, shots), slice(shots, None)
    return Episode(
        support_ids=windows[:, support].reshape(-1, window),
        support_positions=read_at[:, support].reshape(-1),
        support_labels=labels[:, support].reshape(-1),
        query_ids=windows[:, query].reshape(-1, window),
        query_positions=read_at[:, query].reshape(-1),
        query_labels=labels[:, query].reshape(-1),
        words=flat[hidden[:, 0]],
    )


def _check(ways: int, shots: int, queries: int, window: int, readout: str, length: int) -> None:
    for name, value, least in (("n_way", ways, 2), ("k_shot", shots, 1), ("n_query", queries, 1)):
        if value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
    if readout not in READOUTS:
        raise InputError(f"readout must be one of {', '.join(READOUTS)}, got {readout!r}")
    if not 2 <= window < length:
        raise InputError(f"episode_window must be at least 2 and shorter than a block of {length}, got {window}")


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
    return len(_Candidates.find(token_ids, mask_id, occurrences, words, window, readout, max_frequency).classes)


@dataclass(frozen=True)
class _Candidates:
    """Occurrences that may be hidden.

    Attributes:
        positions: (P,) flat positions in the pool, sorted by word.
        order: (P,) number of the word at each position.
        classes: (C,) numbers of the words that occur often enough, and not too often.
    """

    positions: Tensor
    order: Tensor
    classes: Tensor

    @classmethod
    def find(
        cls,
        token_ids: Tensor,
        mask_id: int,
        occurrences: int,
        words: WordTable | None,
        window: int,
        readout: str,
        max_frequency: float,
    ) -> "_Candidates":
        ids = token_ids.cpu().long()
        length = ids.shape[1]
        flat = ids.reshape(-1)
        usable = ids != mask_id if words is None else words.is_word[ids]
        positions = torch.nonzero(usable.reshape(-1)).flatten()
        positions = positions[torch.argsort(flat[positions], stable=True)]
        if not len(positions):
            return cls(positions, positions, positions)
        starts = torch.zeros_like(positions)
        starts[1:] = flat[positions].diff() != 0
        order = starts.cumsum(0)

        offset = _window_offset(window, readout)
        column = positions % length
        eligible = (column + offset >= 0) & (column + offset + window <= length)
        eligible &= _alone(positions, order, offset, window, readout)
        if words is not None:
            # Behind the last column stands a token nobody knows, so a word there may go on.
            after = torch.ones_like(usable)
            after[:, :-1] = words.continues[ids[:, 1:]]
            eligible &= ~after.reshape(-1)[positions]

        totals = torch.bincount(order)
        positions, order = positions[eligible], order[eligible]
        distinct = _first_of_each_context(flat, positions, offset, window)
        positions, order = positions[distinct], order[distinct]
        counts = torch.bincount(order, minlength=len(totals))
        often = (counts >= occurrences) & (totals <= max_frequency * flat.numel())
        return cls(positions, order, torch.nonzero(often).flatten())

    def draw(self, classes: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """(N, count) positions, drawn without replacement for each class."""
        shuffled = torch.randperm(len(self.positions), generator=generator)
        by_class = shuffled[torch.argsort(self.order[shuffled], stable=True)]
        first = torch.searchsorted(self.order[by_class], classes)
        return self.positions[by_class[first[:, None] + torch.arange(count)]]


def _window_offset(window: int, readout: str) -> int:
    """Where the window of a hidden word starts, counted from the word."""
    return {"mask": 1 - window, "previous": -window, "last": -(window // 2)}[readout]


def _alone(positions: Tensor, order: Tensor, offset: int, window: int, readout: str) -> Tensor:
    """Which occurrences are the only one of their word in their window (neighbours are adjacent, sorted by word).

    With `last` the windows of neighbours reach over each other from both sides, so they are kept a window apart.
    Positions are flat, so a neighbour may stand in another row; a window that stays in its row never reaches it.
    """
    before, after = (window - 1, window - 1) if readout == "last" else (-offset, offset + window - 1)
    gap = positions.diff()
    same = order.diff() == 0
    alone = torch.ones(len(positions), dtype=torch.bool)
    alone[1:] &= ~(same & (gap <= before))
    alone[:-1] &= ~(same & (gap <= after))
    return alone


def _first_of_each_context(flat: Tensor, positions: Tensor, offset: int, window: int) -> Tensor:
    """(P',) indices of positions whose window, the hidden word left out, has the same tokens as none before it.

    Text that stands in the pool twice would otherwise put the same window into support and query.
    """
    # A rolling hash: sum of x_j * B^j over the window, brought to the same power of B wherever the window starts
    # (64-bit arithmetic that wraps, so an odd B loses nothing).
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-(2**62), 2**62, (int(flat.max()) + 1,), generator=generator)[flat]
    powers = torch.full((len(flat) + 1,), 6364136223846793005).cumprod(0)
    terms = values * powers[:-1]
    sums = torch.cat([terms.new_zeros(1), terms.cumsum(0)])
    start = positions + offset
    keys = sums[start + window] - sums[start]
    if offset + window > 0:
        keys -= terms[positions]
    keys *= powers[len(flat) - start]
    ranked, by_key = torch.sort(keys, stable=True)
    first = torch.ones(len(keys), dtype=torch.bool)
    first[1:] = ranked[1:] != ranked[:-1]
    return by_key[first].sort().values
