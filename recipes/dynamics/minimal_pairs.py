"""Minimal pairs: does a model find the good sentence of each pair more likely than the bad one?

Warstadt et al. 2020, BLiMP: The Benchmark of Linguistic Minimal Pairs for English.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ...callbacks import Row
from ...callbacks.measures import sentence_log_probabilities
from ...trainers import InputError
from ...trainers.corpus import check_vocabulary
from ...trainers.corpus.tokenizer import text_ids
from ...trainers.runs.learning_dynamics import STANDARD_ERROR
from ...trainers.text_lines import read_lines

EXPECTED = '{"good": "The dogs bark.", "bad": "The dogs barks.", "group": "agreement"}'
FIELDS = {"good", "bad", "group"}


class Pair(NamedTuple):
    """Two sentences, the group they belong to ("" in a file without groups), and their line in the file."""

    good: str
    bad: str
    group: str
    line: int


def read_pairs(path: Path) -> list[Pair]:
    """Read JSON lines with `good`, `bad` and `group`, which all lines may lack together.

    Raises:
        InputError: no file, a line that is no such object or has the same sentence twice, or no line at all.
    """
    lines = enumerate(read_lines(path), 1)
    pairs = [_pair(line, f"{path}, line {number}", number) for number, line in lines if line.strip()]
    if not pairs:
        raise InputError(f"{path}: no pair in it, expected lines such as {EXPECTED}")
    grouped = bool(pairs[0].group)
    for pair in pairs:
        if bool(pair.group) != grouped:
            raise InputError(f"{path}, line {pair.line}: give every pair a group, or none")
    return pairs


def _pair(line: str, where: str, number: int) -> Pair:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({error}), expected {EXPECTED}") from error
    fields = {key: row[key] for key in FIELDS & row.keys()} if isinstance(row, dict) else {}
    for name in ("good", "bad"):
        if not isinstance(fields.get(name), str) or not fields[name].strip():
            raise InputError(f"{where}: no sentence {name!r}, expected {EXPECTED}")
    if "group" in fields and (not isinstance(fields["group"], str) or not fields["group"].strip()):
        raise InputError(f"{where}: group must be a name, got {fields['group']!r}")
    if fields["good"] == fields["bad"]:
        raise InputError(f"{where}: good and bad are the same sentence: make them differ, or remove the line")
    return Pair(fields["good"], fields["bad"], fields.get("group", ""), number)


def first_of_each_group(pairs: Iterable[Pair], limit: int | None) -> list[Pair]:
    """The first `limit` pairs of each group; all if it is None."""
    seen: Counter[str] = Counter()
    kept = []
    for pair in pairs:
        seen[pair.group] += 1
        if limit is None or seen[pair.group] <= limit:
            kept.append(pair)
    return kept


class MinimalPairs:
    """The minimal pairs of a file as a task.

    Args:
        name: of the task in the table of scores.
        path: JSON lines, see `read_pairs`.
        tokenizer: reads the sentences. Special tokens in them are text.
        limit: pairs of each group at most; None for all.

    Raises:
        InputError: the file holds no pairs, or the tokenizer reads both sentences of one as the same tokens.
    """

    def __init__(self, name: str, path: Path, tokenizer: PreTrainedTokenizerBase, limit: int | None) -> None:
        self.name, self.path, self.tokenizer = name, path, tokenizer
        self.pairs = first_of_each_group(read_pairs(path), limit)
        self.good = text_ids(tokenizer, [pair.good for pair in self.pairs])
        self.bad = text_ids(tokenizer, [pair.bad for pair in self.pairs])
        for pair, good, bad in zip(self.pairs, self.good, self.bad, strict=True):
            if good == bad or not good or not bad:
                raise InputError(
                    f"{path}, line {pair.line}: to the tokenizer both sentences are the same tokens, or one is none: "
                    "remove the line"
                )
        # What is scored, not the bytes of the file: a line's number and its other fields do not matter.
        scored = json.dumps([pair[:3] for pair in self.pairs])
        self.content = f"{len(self.pairs)} pairs {blake2b(scored.encode(), digest_size=8).hexdigest()}"

    def check(self, config: PretrainedConfig) -> None:
        """Raise InputError if a model lacks tokens of the tokenizer, or positions for a sentence."""
        check_vocabulary(self.tokenizer, config.vocab_size)
        for pair, *sentences in zip(self.pairs, self.good, self.bad, strict=True):
            longest = max(map(len, sentences))
            if longest > config.max_position_embeddings:
                raise InputError(
                    f"{self.path}, line {pair.line}: a sentence of {longest} tokens, the model reads "
                    f"{config.max_position_embeddings}: shorten it, or remove the line"
                )

    def rows(self, model: PreTrainedModel, batch_size: int) -> list[Row]:
        """Score the pairs: rows of the whole file and, if there are several groups, of each group.

        `pair_accuracy` compares sums of log-probabilities over tokens, `pair_accuracy_per_token` their means. Both are
        shares of the pairs, and have a standard error.
        """
        first = self.tokenizer.bos_token_id
        if first is None:
            first = self.tokenizer.eos_token_id
        sentences = self.good + self.bad
        sums = sentence_log_probabilities(model, sentences, first, batch_size).tolist()
        means = [value / len(sentence) for value, sentence in zip(sums, sentences, strict=True)]
        groups = list(dict.fromkeys(pair.group for pair in self.pairs))
        rows = []
        for quantity, values in (("pair_accuracy", sums), ("pair_accuracy_per_token", means)):
            both = zip(values[: len(self.good)], values[len(self.good) :], strict=True)
            # A diverged model has no score, which is not the score 0.
            right = [math.nan if math.isnan(good - bad) else float(good > bad) for good, bad in both]
            rows += share_rows(quantity, right, self.name)
            for group in groups if len(groups) > 1 else ():
                of_group = [hit for hit, pair in zip(right, self.pairs, strict=True) if pair.group == group]
                rows += share_rows(quantity, of_group, f"{self.name}/{group}")
        return rows


def share_rows(quantity: str, right: list[float], source: str) -> list[Row]:
    """The share of ones, and its standard error: the sample's deviation by sqrt(N), NaN of a single value."""
    share = sum(right) / len(right)
    error = math.sqrt(share * (1 - share) / (len(right) - 1)) if len(right) > 1 else math.nan
    return [Row(quantity, share, source=source), Row(quantity + STANDARD_ERROR, error, source=source)]
