"""What a model card tells about: the weights of a checkpoint, and the run that trained them."""

import re
from dataclasses import dataclass, replace
from math import isnan, prod
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ....modeling_pico import PicoConfig
from ....trainers.corpus.documents import BUILT_IN
from ....trainers.model_name import ModelName
from ....trainers.runs.json_files import read_json
from ....trainers.runs.reader import RunData, load_run
from ....trainers.tasks.hold_out import trained_classes
from ....trainers.word_classes.class_config import WORDS
from ..queue import WEIGHTS, Entry


@dataclass(frozen=True)
class Facts:
    """A checkpoint and its run."""

    run: RunData  #: the run, up to the checkpoint
    config: dict[str, Any]  #: config.json
    parameters: int  #: size of the weights, without the head of the episodes
    step: int  #: of the weights
    final: bool  #: True for the weights of a finished run

    @property
    def other_class(self) -> str | None:
        """Name of the model's class in transformers, None for a Pico."""
        return None if self.config["model_type"] == PicoConfig.model_type else self.config["architectures"][0]

    @property
    def base_model(self) -> str | None:
        """Hub name of the model that is no Pico whose weights the run started from; None for a folder."""
        name = self.run.arguments.get("init_from")
        if self.other_class is None or name is None or Path(name).exists():
            return None
        path = ModelName.parse(name).path
        return path if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path) else None

    @property
    def tagger(self) -> dict[str, Any] | None:
        """Results of fine-tuning on NER, where the model itself is the fine-tuned one."""
        return self.run.ner.get("")

    @property
    def classifier(self) -> dict[str, Any] | None:
        """Results of fine-tuning to classify texts, where the model itself is the fine-tuned one."""
        return self.run.results if self.run.results.get("task") == "text-classification" else None

    @property
    def has_episodes(self) -> bool:
        """True when the model was trained with episodes."""
        return bool((self.config.get("episode") or {}).get("hybrid_ratio", 0) > 0)

    @property
    def meta_learned(self) -> bool:
        """True when the model was trained with episodes other than those of a plain classifier."""
        return self.has_episodes and self.config["episode"].get("meta_algorithm") != "direct"

    @property
    def has_word_classes(self) -> bool:
        """True when its episodes had classes of words for classes."""
        return self.has_episodes and (self.config["episode"].get("episode_classes", WORDS) != WORDS)

    @property
    def task_share(self) -> float:
        """Share of its episodes that came from labelled tasks."""
        return self.run.arguments.get("task_share", 0.0) if self.has_episodes else 0.0

    @property
    def task_names(self) -> list[str]:
        """The labelled tasks that were in its training episodes."""
        return sorted(trained_classes(self.config))

    @property
    def hub_dataset(self) -> str | None:
        """user/name of the corpus, None where it is not from the Hub."""
        return None if self.mixture else hub_name(str(self.run.arguments.get("dataset", "")))

    @property
    def mixture(self) -> dict[str, dict[str, Any]]:
        """The sources of a mixture by name, with their `dataset` and `weight`; empty for one corpus."""
        return self.run.arguments.get("mixture") or {}

    @property
    def hub_datasets(self) -> list[str]:
        """All data sets of the Hub that the model was trained on."""
        names = [hub_name(source["dataset"]) for source in self.mixture.values()] or [self.hub_dataset]
        return [name for name in names if name is not None]

    @property
    def corpus(self) -> str:
        """Name of the corpus for readers; of a local path only the last part."""
        if not self.mixture:
            return corpus_name(str(self.run.arguments.get("dataset", "its corpus")))
        total = sum(source.get("weight", 0) for source in self.mixture.values())
        names = [
            corpus_name(source["dataset"]) + (f" ({source['weight'] / total:.0%})" if total else "")
            for source in self.mixture.values()
        ]
        return f"a mixture of {', '.join(names[:-1])} and {names[-1]}"

    def newest(self, metric: str) -> float | None:
        """The last value of a metric up to the step of the weights, None where there is none."""
        value = self.run.last(metric, until=self.step)
        return None if isnan(value) else value


def hub_name(dataset: str) -> str | None:
    """user/name of a data set of the Hub; None for another corpus."""
    is_file = re.search(r"\.(txt|jsonl?|parquet|arrow)$", dataset)
    return dataset if re.fullmatch(r"[\w.-]+/[\w.-]+", dataset) and not is_file else None


def corpus_name(dataset: str) -> str:
    """Name of a corpus for readers; of a local path only the last part."""
    if dataset == BUILT_IN:
        return "the documentation inside Python"
    return hub_name(dataset) or dataset.rstrip("/").split("/")[-1]


def read_facts(entry: Entry, weights_step: int | None = None) -> Facts:
    """Read an entry of the queue; for weights of another step than the entry's without its results."""
    run = load_run(entry.state / "run", "run", checkpoint=entry.state)
    if weights_step not in (None, entry.step):
        run = replace(run, results={}, ner={})
    step = entry.step if weights_step is None else weights_step
    return Facts(run, read_json(entry.state / "config.json"), count_parameters(entry.state), step, entry.final)


def count_parameters(checkpoint: Path) -> int:
    """Size of a checkpoint's weights without the head of the episodes, from the headers of their files."""
    total = 0
    for path in checkpoint.glob(WEIGHTS):
        with safe_open(path, "pt") as file:
            names = [name for name in file.keys() if not name.startswith("meta_head.")]  # noqa: SIM118 (no dict)
            total += sum(prod(file.get_slice(name).get_shape()) for name in names)
    return total
