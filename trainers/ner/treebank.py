"""Labelled sentences as a `DatasetDict`: the shipped sample, Universal NER, or any IOB2 file or folder."""

from collections.abc import Sequence
from difflib import get_close_matches
from glob import escape
from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from ..errors import InputError
from ..tuning.splits import is_saved, split_in_three, split_validation
from .alignment import gold_tags
from .iob2 import LABELS, Sentence, inside_without_begin, read_iob2
from .labels import classes_of, tag_names, tags_of, with_tags
from .sources.data_format import DataFormat
from .sources.own_files import read_file, read_own_folder
from .sources.tagged_datasets import read_dataset
from .universal_ner import ALL, FACTS, SEEN, TREEBANKS, fetch, verify

# 240 + 80 + 80 sentences from templates, with invented names: to try the code, not to compare models.
SAMPLE = "sample"
SAMPLE_FOLDER = Path(__file__).parent.parent / "data"
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
UNIVERSAL_NER = DataFormat()


def load_treebank(
    name: str, uner_dir: str | Path | None = None, split_dev: bool = False, form: DataFormat = UNIVERSAL_NER
) -> DatasetDict:
    """Load labelled sentences.

    Args:
        name: a treebank of Universal NER such as `da_ddt`; `all`, the union of the nine with a train split; `sample`;
            a file, split into 80 % train, 10 % validation and 10 % test; a folder of such files whose names end with
            train, dev and test; a folder of `datasets`; or the Hub name user/name of a data set. Files have columns,
            or spans in JSON lines (see `sources`).
        uner_dir: folder of the files NAME-ud-SPLIT.iob2. Without it those of Universal NER are downloaded once, from
            their pinned commits (`universal_ner.fetch`). Either way their hashes are verified.
        split_dev: where there is no train split, take nine tenths of the validation split for it.
        form: how files that are not of Universal NER are read, and new names of classes.

    Returns:
        The splits that exist among train, validation and test, with the columns `tokens` and `ner_tags`. The tags are
        those of all splits.

    Raises:
        InputError: nothing has that name (the nearest is suggested), a download fails, a hash differs, or a file
            cannot be read.
    """
    splits = {split: form.rename(sentences) for split, sentences in read_treebank(name, uner_dir, form).items()}
    if split_dev and "train" not in splits and "validation" in splits:
        splits |= split_validation(splits["validation"])
    classes = {tag[2:] for sentences in splits.values() for sentence in sentences for tag in sentence.tags} - {""}
    names = tag_names(classes)
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=list(names)))})
    number = {name: i for i, name in enumerate(names)}
    return DatasetDict(
        {
            split: Dataset.from_dict(
                {
                    "tokens": [sentence.tokens for sentence in sentences],
                    "ner_tags": [[number[tag] for tag in sentence.tags] for sentence in sentences],
                },
                features=features,
            )
            for split, sentences in splits.items()
        }
    )


def read_treebank(name: str, uner_dir: str | Path | None, form: DataFormat) -> dict[str, list[Sentence]]:
    """The sentences of each split (see `load_treebank`)."""
    if name == SAMPLE:
        return _read_folder(SAMPLE_FOLDER, "sample")
    if name == ALL:
        parts = {treebank: _read_universal_ner(treebank, uner_dir) for treebank in SEEN}
        for treebank, part in parts.items():
            if missing := set(SPLITS) - set(part):
                raise InputError(f"{ALL} needs all of {treebank}, but {uner_dir} lacks its {', '.join(missing)} file")
        return {split: [s for part in parts.values() for s in part[split]] for split in SPLITS}
    if name in FACTS:
        return _read_universal_ner(name, uner_dir)
    path = Path(name)
    if path.is_file():
        return split_in_three(read_file(path, form))
    if path.is_dir():
        return read_dataset(name, form) if is_saved(path) else read_own_folder(path, form)
    if uner_dir is not None:
        return _read_folder(Path(uner_dir), f"{name}-ud")
    if name.count("/") == 1 and not name.startswith((".", "/")):
        return read_dataset(name, form)
    near = get_close_matches(name, [*TREEBANKS, ALL, SAMPLE], 1)
    hint = f"did you mean {near[0]!r}?" if near else f"the treebanks are {', '.join(TREEBANKS)}, or {ALL}"
    raise InputError(f"no treebank, file or folder {name!r}: {hint}")


def load_test_sets(
    names: list[str],
    uner_dir: str | Path | None = None,
    form: DataFormat = UNIVERSAL_NER,
    tags: Sequence[str] = LABELS,
) -> dict[str, Dataset]:
    """The test split of each treebank with the tags of training, by its name; `all` stands for the 18."""
    test_sets = {}
    for name in TREEBANKS if names == [ALL] else names:
        splits = load_treebank(name, uner_dir, form=form)
        if "test" not in splits:
            raise InputError(f"{name} has no test split, only {', '.join(splits)}: remove it from the list")
        test_sets[name] = with_tags(splits["test"], tags, name)
    return test_sets


def describe(rows: Dataset) -> dict[str, int]:
    """Counts of a split: sentences, tokens, entities of each class (their B- tags), I- tags without a B-."""
    tags = gold_tags(rows)
    flat = [tag for row in tags for tag in row]
    return {
        "sentences": len(tags),
        "tokens": len(flat),
        **{label: flat.count(f"B-{label}") for label in classes_of(tags_of(rows))},
        "inside_without_begin": sum(map(inside_without_begin, tags)),
    }


def _read_universal_ner(name: str, uner_dir: str | Path | None) -> dict[str, list[Sentence]]:
    """The splits of a treebank of Universal NER: all of them, or those with a file in `uner_dir`."""
    facts = FACTS[name]["splits"]
    if uner_dir is None:
        return {split: read_iob2(fetch(name, split)) for split in facts}
    splits = _read_folder(Path(uner_dir), f"{name}-ud")
    for split in splits.keys() & facts.keys():
        verify(Path(uner_dir) / facts[split]["file"], name, split)
    return splits


def _read_folder(folder: Path, prefix: str) -> dict[str, list[Sentence]]:
    """The splits `prefix`-SPLIT.iob2 of a folder; several files of a split are joined by the order of their names."""
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: it should hold the IOB2 files")
    splits = {}
    for split, suffix in SPLITS.items():
        ending = f"-{suffix}.iob2"
        files = sorted(folder.glob("*" + ending) if prefix == "*" else folder.glob(escape(prefix + ending)))
        if files:
            splits[split] = [sentence for file in files for sentence in read_iob2(file)]
    if not splits:
        present = sorted({file.name.split("-ud-")[0] for file in folder.glob("*.iob2")})
        near = get_close_matches(prefix.removesuffix("-ud"), present, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it holds {', '.join(present) or 'no IOB2 file'}"
        raise InputError(f"no file {prefix}-{{train,dev,test}}.iob2 in {folder}: {hint}")
    return splits
