"""Labelled tasks over the words of conftest.py: the last word of a text tells its class."""

import json
import random
from pathlib import Path

WORDS = [first + second for first in "abcdefghij" for second in "abcdefghij"]
CLASSES = {"two": 2, "four": 4, "six": 6}
TEXTS = 8


def rows() -> list[dict[str, str]]:
    """Texts of three tasks with two, four and six classes, in random order."""
    generator = random.Random(0)
    found = [
        {
            "text": " ".join([*generator.choices(WORDS, k=generator.randint(2, 6)), WORDS[c]]),
            "label": f"c{c}",
            "task": t,
        }
        for t, classes in CLASSES.items()
        for c in range(classes)
        for _ in range(TEXTS)
    ]
    generator.shuffle(found)
    return found


def write_lines(path: Path, lines: list) -> str:
    """Write JSON lines and return the path as an argument."""
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return str(path)


def write_tasks(folder: Path) -> str:
    """Write the three tasks."""
    return write_lines(folder / "tasks.jsonl", rows())


def write_entities(folder: Path) -> str:
    """Write a column file of three classes, with an entity of two words in the middle of each sentence."""
    sentences = [
        f"{WORDS[i]}\tO\n{WORDS[10 * c]}\tB-{label}\n{WORDS[10 * c + 1]}\tI-{label}\n{WORDS[i + 1]}\tO\n\n"
        for c, label in enumerate(("PER", "DRUG", "LOC"))
        for i in range(TEXTS)
    ]
    path = folder / "names.conll"
    path.write_text("".join(sentences))
    return str(path)
