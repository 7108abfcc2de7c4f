"""What a finished model is measured on: the held-out part of its run's corpus, unless other text is named."""

from argparse import Namespace
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from ...trainers import InputError
from ...trainers.corpus.documents import BUILT_IN
from .corpus import Corpora, CorpusArguments
from .mixture import source_name
from .run_record import find_record, training_runs

# What is known of a text that a model is measured on.
HELD_OUT = "held out from training"
EVALUATION = "the run's evaluation corpus"
OTHER = "another corpus than the run's"
UNKNOWN = "training text unknown"
RELATIONS = (HELD_OUT, EVALUATION, OTHER, UNKNOWN)  # from the strongest statement to none

# Not taken from a run: how it read its corpus, and further texts that may be elsewhere by now.
NOT_OF_RUN = ("shuffle_blocks", "num_workers", "eval_sources", "eval_source_column")
# What decides on which text a model is measured, and what does not.
OF_DATASET = {"dataset", "dataset_config", "dataset_split", "dataset_revision", "eval_fraction", "split_by"}
OF_EVAL_DATASET = {"eval_dataset", "eval_split"}
OF_ANY_TEXT = ("block_size", "eval_fraction", "split_by", "eval_blocks", "eval_texts")
# A corpus with the same of these holds out the same documents at the same eval_fraction.
OF_SPLIT = ("dataset_revision", "text_column", "split_by")


class Text(NamedTuple):
    """A split of a Hub data set, or a path on this disk, which has neither configurations nor splits."""

    name: str
    config: str | None = None
    split: str = ""

    @classmethod
    def named(cls, name: str, config: str | None, split: str) -> "Text":
        """The text that arguments name."""
        if name == BUILT_IN or Path(name).is_absolute():
            return cls(name)
        return cls(str(Path(name).resolve())) if Path(name).exists() else cls(name, config, split)

    @classmethod
    def trained_on(cls, corpus: CorpusArguments) -> "Text":
        """The corpus of a run, whose held-out part is not trained on."""
        return cls.named(corpus.dataset, corpus.dataset_config, corpus.dataset_split)

    @classmethod
    def evaluated_on(cls, corpus: CorpusArguments) -> "Text":
        """The corpus that is read for evaluation: its held-out part, or all of `eval_dataset`."""
        if corpus.eval_dataset is not None:
            return cls.named(corpus.eval_dataset, None, corpus.eval_split)
        return cls.trained_on(corpus)

    def overlaps(self, other: "Text") -> bool:
        """True if one path is the other or lies below it, or two splits of a data set have a part in common."""
        if self.name != other.name:
            one, two = PurePath(self.name), PurePath(other.name)
            return one.is_absolute() and two.is_absolute() and (one in two.parents or two in one.parents)
        configs_differ = None not in (self.config, other.config) and self.config != other.config
        return not configs_differ and bool(self._parts() & other._parts())

    def _parts(self) -> set[str]:
        """The splits in an expression such as train[:90%]+validation."""
        return {part.split("[")[0].strip() for part in self.split.split("+")}


def arguments_of_run(
    given: set[str], values: Namespace, model: str, revision: str | None = None, subfolder: str = ""
) -> dict[str, Any]:
    """The corpus arguments to use where none are `given`: those of the run that trained the model.

    If the `given` `values` name another text than the run's, only the length of blocks and texts, their number, and
    the share that is held out. Empty without a record of the run.
    """
    record = find_record(model, revision, subfolder)
    if record is None:
        return {}
    run, other = record.corpus, False
    recorded = {name: value for name, value in asdict(run).items() if name not in NOT_OF_RUN}
    if "eval_dataset" in given:
        other = run.eval_dataset is None or not same_name(values.eval_dataset, run.eval_dataset)
    elif given & {"dataset", "mixture"}:
        mixed = run.mixture is not None or "mixture" in given
        other = mixed or not same_name(values.dataset, run.dataset)
    if other:
        return {name: recorded[name] for name in OF_ANY_TEXT}
    if given & OF_DATASET and "eval_dataset" not in given:
        return {name: value for name, value in recorded.items() if name not in OF_EVAL_DATASET}
    return recorded


def same_name(name: str, other: str) -> bool:
    """True if both are the same path, or the same data set of the Hub."""
    return Text.named(name, None, "") == Text.named(other, None, "")


@dataclass(frozen=True)
class MeasuredText:
    """A text that a finished model is measured on."""

    name: str
    relation: str  #: what is known of it, one of RELATIONS
    trained_sources: list[str]  #: those of `eval_sources` that hold text the model was trained on

    def __str__(self) -> str:
        trained = f"; trained on text of {', '.join(self.trained_sources)}" if self.trained_sources else ""
        return f"{self.name}, {self.relation}{trained}"


def measured_text(
    corpus: CorpusArguments, model: str, revision: str | None = None, subfolder: str = ""
) -> MeasuredText:
    """The text that a model is to be measured on, compared with what its runs recorded.

    Raises InputError if a run that trained the model, or one that it went on from, was trained on part of the text.
    """
    runs, complete = training_runs(model, revision, subfolder)
    relations = [relation_to_run(corpus, run.corpus) for run in runs]
    sources = [
        path
        for path in corpus.eval_sources
        if any(
            Text.named(path, None, "train").overlaps(Text.trained_on(part))
            for run in runs
            for part in run.corpus.parts().values()
        )
    ]
    held_out = f"{100 * corpus.eval_fraction:g} % of {', '.join(part.dataset for part in corpus.parts().values())}"
    name = corpus.eval_dataset or held_out
    relation = min(relations, key=RELATIONS.index) if complete else UNKNOWN
    return MeasuredText(name, relation, [source_name(path) for path in sources])


def held_out_documents(corpus: CorpusArguments) -> Corpora:
    """The documents to measure on; raise InputError with a remedy if they are not where the run read them."""
    try:
        return corpus.held_out_documents()
    except InputError as error:
        raise InputError(f"{error}; --dataset or --eval_dataset names another text to measure on") from error


def check_goes_on(corpus: CorpusArguments, argument: str, base: str) -> None:
    """Raise InputError if a new run would hold out text that `base`, the model it starts from, was trained on."""
    for run in training_runs(base)[0]:
        try:
            relation_to_run(corpus, run.corpus, "hold out other text")
        except InputError as error:
            raise InputError(f"{argument} {base!r}: {error}") from error


def check_sources(corpus: CorpusArguments) -> None:
    """Raise InputError if two sources of a mixture have text in common, which both would train on or hold out."""
    for (one, first), (two, second) in combinations(corpus.parts().items(), 2):
        if Text.trained_on(first).overlaps(Text.trained_on(second)):
            raise InputError(f"the sources {one!r} and {two!r} of mixture have text in common: name it once")


def relation_to_run(
    corpus: CorpusArguments, run: CorpusArguments, remedy: str = "name no text, to read what the run held out"
) -> str:
    """HELD_OUT if the text to measure on lies in the held-out part of a run, else EVALUATION or OTHER.

    Of a mixture, the weakest statement that holds for all its sources.
    Raises InputError if it is of the run's corpus, but outside of the held-out part; `remedy` ends the message.
    """
    strongest = [
        min((_relation(part, source, remedy) for source in run.parts().values()), key=RELATIONS.index)
        for part in corpus.parts().values()
    ]
    return max(strongest, key=RELATIONS.index)


def _relation(corpus: CorpusArguments, run: CorpusArguments, remedy: str) -> str:
    """The relation between one corpus and one source of a run."""
    text, trained = Text.evaluated_on(corpus), Text.trained_on(run)
    if run.eval_dataset is not None and text == Text.evaluated_on(run) and text != trained:
        return EVALUATION
    if not text.overlaps(trained):
        return OTHER
    if corpus.eval_dataset is not None:
        raise InputError(f"eval_dataset {corpus.eval_dataset!r} is text that the run trained on: {remedy}")
    if run.eval_dataset is not None:
        raise InputError(
            f"the run trained on all of {run.dataset!r} and was evaluated on {run.eval_dataset!r}: {remedy}"
        )
    if differing := split_differences(corpus, run):
        raise InputError(f"another split of the run's corpus holds text it was trained on ({differing}): {remedy}")
    if corpus.eval_fraction > run.eval_fraction:
        raise InputError(
            f"eval_fraction is {corpus.eval_fraction}, but the run held out {run.eval_fraction} of its corpus and "
            f"trained on the rest: lower it, or {remedy}"
        )
    return HELD_OUT


def split_differences(corpus: CorpusArguments, run: CorpusArguments) -> str:
    """What else than eval_fraction decides which documents are held out, and differs; empty if nothing does."""
    mine, its = asdict(corpus), asdict(run)
    names = [name for name in OF_SPLIT if mine[name] != its[name]]
    if Text.trained_on(corpus) != Text.trained_on(run):
        names += [name for name in ("dataset", "dataset_config", "dataset_split") if mine[name] != its[name]]
    return ", ".join(f"{name} {its[name]} -> {mine[name]}" for name in names)
