"""What a run read, as JSON and as text."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ...trainers.class_episodes.episode import ClassEpisode
from ...trainers.episodes import Episode, Examples
from ...trainers.tasks.sampling import TaskEpisode
from ...trainers.word_classes import WordClasses
from .run_again import MicroBatch


def as_json(
    batch: MicroBatch, tokenizer: PreTrainedTokenizerBase, classes: WordClasses | None, names: Sequence[str] = ()
) -> dict[str, Any]:
    """Describe a micro-batch: its rows with their token ids, text, documents and source, and its episode.

    `names` are those of the sources of a mixture.
    """
    rows = [
        {"input_ids": ids.tolist(), "text": tokenizer.decode(ids), "documents": ids_of(numbers)}
        for ids, numbers in zip(batch.input_ids, batch.documents, strict=True)
    ]
    if batch.sources is not None:
        for row, source in zip(rows, batch.sources.tolist(), strict=True):
            row["source"] = names[source]
    found: dict[str, Any] = {"step": batch.step, "micro_batch": batch.number, "next_token": batch.next_token}
    found |= {"episode": None, "episode_skipped": batch.drawn and batch.episode is None, "rows": rows}
    if isinstance(batch.episode, ClassEpisode):
        found["episode"] = of_classes(batch.episode, batch.input_ids, classes)
    elif batch.episode is not None:
        found["episode"] = of_words(batch.episode, tokenizer)
    return found


def ids_of(numbers: Tensor) -> list[int]:
    """The different numbers, in their order."""
    return list(dict.fromkeys(numbers.tolist()))


def of_words(episode: Episode, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    """The classes of an N-way K-shot episode, each with its support and query windows up to the state that is read.

    Those of a task have its name and their label.
    """
    described: list[dict[str, Any]] = [{"class": n, "support": [], "query": []} for n in range(len(episode.words))]
    if isinstance(episode, TaskEpisode):
        for each, label in zip(described, episode.labels, strict=True):
            each |= {"task": episode.task, "label": label}
    for side, examples in (("support", episode.support), ("query", episode.query)):
        for label, window in zip(examples.labels.tolist(), windows(examples, tokenizer), strict=True):
            described[label][side].append(window)
    return described


def windows(examples: Examples, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    """Each example's text before and with its state, its document, and its ids."""
    found = []
    places = zip(examples.rows.tolist(), examples.positions.tolist(), examples.documents.tolist(), strict=True)
    for row, position, document in places:
        ids = examples.ids[row, : position + 1].tolist()
        found.append({"document": document, "text": tokenizer.decode(ids), "input_ids": ids})
    return found


def of_classes(episode: ClassEpisode, input_ids: Tensor, classes: WordClasses | None) -> list[dict[str, Any]]:
    """The classes of a class episode, each with its words on both sides and the queries among them."""
    spelled = {} if classes is None else dict(zip(classes.numbers.tolist(), classes.spellings, strict=True))
    found: dict[int, dict[str, Any]] = defaultdict(lambda: {"first_side": [], "second_side": [], "asked": 0})
    for i, (word, label) in enumerate(zip(episode.words.tolist(), episode.classes.tolist(), strict=True)):
        side = "first_side" if i < episode.border else "second_side"
        found[label][side].append(spelled.get(word, str(word)))
        found[label]["asked"] += int(episode.asked[i])
    return [{"class": label, **found[label]} for label in sorted(found)]


def as_text(batch: dict[str, Any]) -> str:
    """The description as lines for the screen."""
    what = "next-token prediction" if batch["next_token"] else "no next-token prediction"
    lines = [f"step {batch['step']}, micro-batch {batch['micro_batch']}: {what}"]
    for i, row in enumerate(batch["rows"]):
        place = f"row {i}, source {row['source']}" if "source" in row else f"row {i}"
        lines.append(f"  {place}, documents {' '.join(map(str, row['documents']))}: {row['text']!r}")
    if batch["episode_skipped"]:
        lines.append("  an episode was skipped: too few words")
    for each in batch["episode"] or []:
        name = f": {each['task']}, {each['label']}" if "task" in each else ""
        lines.append(f"  class {each['class']}{name}")
        for side in ("support", "query"):
            lines += [f"    {side}, document {w['document']}: {w['text']!r}" for w in each.get(side, [])]
        if "asked" in each:
            sides = " | ".join(" ".join(each[side]) for side in ("first_side", "second_side"))
            lines.append(f"    {sides}: {each['asked']} asked")
    return "\n".join(lines) + "\n"
