"""Makes a corpus of the running text of treebanks in .iob2, without their labels, one document each.

python docs/make_treebank_text.py hr_set-ud-train.iob2 croatian.jsonl
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

DOCUMENT, TEXT = "# newdoc", "# text = "


def documents(path: str) -> Iterator[str]:
    """The sentences of each document of a file, joined by blanks."""
    sentences: list[str] = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith(DOCUMENT) and sentences:
            yield " ".join(sentences)
            sentences = []
        if line.startswith(TEXT):
            sentences.append(line.removeprefix(TEXT))
    if sentences:
        yield " ".join(sentences)


if __name__ == "__main__":
    *treebanks, output = sys.argv[1:]
    with Path(output).open("w", encoding="utf-8") as file:
        for treebank in treebanks:
            for text in documents(treebank):
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
