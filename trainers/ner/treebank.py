"""Labelled sentences as a `DatasetDict`: the shipped sample, Universal NER files, or any IOB2 file or folder."""

from difflib import get_close_matches
from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value

from ..errors import InputError
from .iob2 import LABELS, Sentence, read_iob2

# 240 + 80 + 80 sentences written for this project from templates, names invented: to try the code, no benchmark.
SAMPLE = "sample"
SAMPLE_FOLDER = Path(__file__).parent.parent / "data"
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
FEATURES = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=list(LABELS)))})


def load_treebank(name: str, uner_dir: str | Path | None = None) -> DatasetDict:
    """Load labelled sentences.

    Args:
        name: `sample`; a treebank of Universal NER such as `da_ddt`, with `uner_dir`; an IOB2 file, which is cut into
            80 % train, 10 % validation and 10 % test; or a folder of *-train.iob2, *-dev.iob2 and *-test.iob2.
        uner_dir: folder that holds the files NAME-ud-SPLIT.iob2.

    Returns:
        The splits that exist among train, validation and test, with the columns `tokens` and `ner_tags`.

    Raises:
        InputError: nothing of that name, or a file that is no IOB2.
    """
    if name == SAMPLE:
        return _from_folder(SAMPLE_FOLDER, "sample")
    if uner_dir is not None:
        return _from_folder(Path(uner_dir), f"{name}-ud")
    path = Path(name)
    if path.is_file():
        return _cut(read_iob2(path))
    if path.is_dir():
        return _from_folder(path, "*")
    raise InputError(
        f"no file or folder {name!r}: for a treebank of Universal NER name the folder of its files with uner_dir"
    )


def _from_folder(folder: Path, prefix: str) -> DatasetDict:
    """The splits `prefix`-SPLIT.iob2 of a folder; several files of a split are joined in the order of their names."""
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: it should hold the IOB2 files")
    splits = {}
    for split, suffix in SPLITS.items():
        files = sorted(folder.glob(f"{prefix}-{suffix}.iob2"))
        if files:
            splits[split] = _to_dataset([sentence for file in files for sentence in read_iob2(file)])
    if not splits:
        present = sorted({file.name.split("-ud-")[0] for file in folder.glob("*.iob2")})
        near = get_close_matches(prefix.removesuffix("-ud"), present, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it holds {', '.join(present) or 'no IOB2 file'}"
        raise InputError(f"no file {prefix}-{{train,dev,test}}.iob2 in {folder}: {hint}")
    return DatasetDict(splits)


def _cut(sentences: list[Sentence]) -> DatasetDict:
    """Every tenth sentence to test, the one before it to validation, the others to train."""
    if len(sentences) < 10:
        raise InputError(f"only {len(sentences)} sentences: a single file is cut into three and needs at least 10")
    parts: dict[str, list[Sentence]] = {"train": [], "validation": [], "test": []}
    for i, sentence in enumerate(sentences):
        parts[{8: "validation", 9: "test"}.get(i % 10, "train")].append(sentence)
    return DatasetDict({split: _to_dataset(rows) for split, rows in parts.items()})


def _to_dataset(sentences: list[Sentence]) -> Dataset:
    columns = {"tokens": [s.tokens for s in sentences], "ner_tags": [s.tags for s in sentences]}
    encoded = {**columns, "ner_tags": [[LABELS.index(tag) for tag in tags] for tags in columns["ner_tags"]]}
    return Dataset.from_dict(encoded, features=FEATURES)
