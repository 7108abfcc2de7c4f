"""Arguments of a mixture of corpora: its sources by name, their weights, and where it ends."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from transformers.hf_argparser import HfArg

from ...trainers import InputError
from ...trainers.checks import check_choice
from ...trainers.corpus.mixture import ALL, FIRST
from .places import expand_home
from .yaml_file import flow_mapping, read_yaml, typed

# What is given of a source; all but the weight are arguments of a corpus.
KEYS = ("dataset", "dataset_config", "dataset_split", "dataset_revision", "text_column", "weight")


@dataclass
class MixtureArguments:
    """Mixture of corpora."""

    mixture: dict[str, Any] | str | None = HfArg(
        default=None,
        help="Corpora in place of dataset, as '{python-prose: 0.7, my.jsonl: 0.3}'. The numbers are shares of the "
        "tokens; a mapping NAME: {dataset, weight, text_column, dataset_config, dataset_split, dataset_revision} has "
        "more to say of a source, and a YAML file may hold it all. Without weights, shares go by size.",
    )
    mixture_temperature: float | None = HfArg(
        default=None,
        help="T: sources without weights get shares proportional to size^(1/T) (unset: 1; large: equal shares).",
    )
    mixture_stop: str = HfArg(
        default=ALL,
        help="Where a source ends before the others: all_exhausted repeats it, first_exhausted ends the run.",
    )

    def __post_init__(self) -> None:
        check_choice("mixture_stop", self.mixture_stop, (ALL, FIRST))
        if self.mixture is None:
            if self.mixture_temperature is not None or self.mixture_stop != ALL:
                raise InputError("mixture_temperature and mixture_stop are of a mixture: set that, or leave them out")
            return
        self.mixture = read_mixture(self.mixture)
        if self.mixture_temperature is None:
            return
        if not self.mixture_temperature > 0:
            raise InputError(f"mixture_temperature must be above 0, got {self.mixture_temperature}")
        if self.weights is not None:
            raise InputError("mixture_temperature is for sources without weights: leave it out, or the weights")

    @property
    def entries(self) -> dict[str, dict[str, Any]]:
        """The sources by name, with what is given of each; empty without a mixture."""
        return self.mixture if isinstance(self.mixture, dict) else {}

    @property
    def weights(self) -> dict[str, float] | None:
        """The weights by name, which sum to 1; None where none are given."""
        given = {name: entry["weight"] for name, entry in self.entries.items() if "weight" in entry}
        return {name: weight / sum(given.values()) for name, weight in given.items()} or None


def read_mixture(value: dict[str, Any] | str) -> dict[str, dict[str, Any]]:
    """The sources of a mixture by name, in alphabetical order, with their `dataset` and what else is given of them.

    Args:
        value: a mapping, its YAML, or the path of a YAML file of it.

    Raises:
        InputError: it is no mapping of two sources or more with different names, a key or a weight is wrong, or some
            sources have a weight and others none.
    """
    mapping = flow_mapping(value) if isinstance(value, str) else value
    if isinstance(value, str) and mapping is None and Path(value).is_file():
        mapping = typed(read_yaml(Path(value)))
    if not isinstance(mapping, dict):
        raise InputError("mixture must be a mapping such as '{python-prose: 0.7, my.jsonl: 0.3}', or a file of it")
    entries: dict[str, dict[str, Any]] = {}
    for key, given in mapping.items():
        name, entry = _entry(str(key), given)
        if name in entries:
            raise InputError(f"two sources of mixture are named {name!r}: write NAME: {{dataset: {key}}} for one")
        entries[name] = entry
    if len(entries) < 2:
        raise InputError(f"mixture has {len(entries)} source{'s' * (not entries)}: give two or more, or set dataset")
    without = [name for name, entry in entries.items() if "weight" not in entry]
    if 0 < len(without) < len(entries):
        raise InputError(f"mixture gives no weight to {', '.join(without)}: weigh every source, or none")
    return dict(sorted(entries.items()))


def _entry(key: str, given: Any) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a source, from `dataset: weight`, `dataset:` or `name: {dataset: ...}`."""
    if not isinstance(given, dict):
        given = {} if given is None else {"weight": given}
    for name in given:
        if name not in KEYS:
            near = get_close_matches(str(name), KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(KEYS)}"
            raise InputError(f"mixture: the source {key!r} has the key {name!r}: {hint}")
    entry = {name: value for name, value in given.items() if value is not None}
    for name, value in entry.items():
        if name == "weight":
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise InputError(f"mixture: the weight of {key!r} must be a number above 0, got {value!r}")
        elif not isinstance(value, str) or not value:
            raise InputError(f"mixture: {name} of {key!r} must be text, got {value!r}")
    dataset = expand_home(entry.get("dataset", key))
    return (key if "dataset" in entry else source_name(dataset)), entry | {"dataset": dataset}


def source_name(path: str) -> str:
    """Name of a source: of a file or folder without its ending, of a Hub data set its whole name."""
    return Path(path).stem if Path(path).exists() else path


@contextmanager
def of_source(name: str) -> Iterator[None]:
    """Name the source in an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"source {name!r}: {error}") from error
