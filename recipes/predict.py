"""Find entities in a text file, or classify its lines, with a fine-tuned model.

python -m pico_maml.recipes.predict --model runs/demo/ner --input_file text.txt --output_file entities.jsonl
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedTokenizerBase,
)
from transformers.hf_argparser import HfArg
from transformers.utils import logging

from ..modeling_pico import PicoForSequenceClassification
from ..modeling_pico.classifiers_pico import PicoClassifier
from ..modeling_pico.tagging_pico import split_words
from ..trainers import InputError
from ..trainers.classification.prediction import ClassifiedText
from ..trainers.classification.prediction import predict as classify
from ..trainers.corpus import check_vocabulary, model_tokenizer
from ..trainers.loading import lacks_weights, load_pretrained
from ..trainers.ner.iob2 import format_iob2
from ..trainers.ner.labels import tags_of_model
from ..trainers.ner.prediction import TaggedSentence, predict
from ..trainers.runs.whole_file import write_whole
from ..trainers.text_lines import read_lines
from .arguments.parser import parse, run

IOB2, JSON_LINES = ".iob2", ".jsonl"


@dataclass
class PredictArguments:
    """Model, text and output."""

    model: str = HfArg(help="Fine-tuned model: a folder, or user/name[@revision] on the Hub.")
    input_file: str = HfArg(help="UTF-8 text, one sentence or text a line.")
    output_file: str = HfArg(
        help="New file, .iob2 or .jsonl. .iob2: word and tag a line; .jsonl: text and entities with character "
        "offsets, or from a classifier of texts each line with its label and probability."
    )
    pretokenized: bool = HfArg(default=False, help="Split words at spaces only, not at punctuation.")
    revision: str | None = HfArg(default=None, help="Revision of a Hub model.")
    tokenizer: str | None = HfArg(default=None, help="Folder or Hub name of the tokenizer (unset: the model's own).")

    def __post_init__(self) -> None:
        if Path(self.output_file).suffix not in (IOB2, JSON_LINES):
            raise InputError(f"output_file must end with {IOB2} or {JSON_LINES}, got {self.output_file!r}")


def main(argv: list[str] | None = None) -> list[TaggedSentence] | list[ClassifiedText]:
    """Run the command; returns the tagged sentences, or the classified texts."""
    (args,) = parse((PredictArguments,), argv, prog="predict")
    logging.disable_progress_bar()
    output = Path(args.output_file)
    if output.exists():
        raise InputError(f"{output} exists: choose another output_file")
    lines = input_lines(Path(args.input_file))
    config = load_pretrained(AutoConfig, args.model, args.revision)
    if config.architectures == [PicoForSequenceClassification.__name__]:
        if output.suffix != JSON_LINES:
            raise InputError(f"{args.model!r} classifies texts: output_file must end with {JSON_LINES}, got {output}")
        return write_labels(args, lines, output)
    return write_entities(args, lines, output)


def load(auto_class: Any, args: PredictArguments) -> tuple[PicoClassifier, PreTrainedTokenizerBase]:
    """The model, which must have all its weights, and its tokenizer."""
    model, info = load_pretrained(auto_class, args.model, args.revision, output_loading_info=True)
    if auto_class is AutoModelForTokenClassification:
        tags_of_model(model)
    if info["missing_keys"]:
        raise lacks_weights(args.model, info["missing_keys"])
    tokenizer = model_tokenizer(args.model, args.revision, args.tokenizer)
    check_vocabulary(tokenizer, model.config.vocab_size)
    return model, tokenizer


def write_labels(args: PredictArguments, lines: list[str], output: Path) -> list[ClassifiedText]:
    """Write the label of each line and its probability; an empty line has none."""
    model, tokenizer = load(AutoModelForSequenceClassification, args)
    with_text = [i for i, line in enumerate(lines) if line.strip()]
    classified = dict(zip(with_text, classify(model, tokenizer, [lines[i] for i in with_text]), strict=True))
    rows = []
    for i, line in enumerate(lines):
        found = classified.get(i)
        label, score = (found.label, round(found.probability, 4)) if found else (None, None)
        rows.append({"text": line, "label": label, "score": score})
    write_whole(output, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    print(f"the labels of {len(classified)} texts are in {output}")
    if cut := sum(text.truncated for text in classified.values()):
        print(f"{cut} texts are longer than the model's {model.config.max_seq_len} sub-words and were cut")
    return list(classified.values())


def write_entities(args: PredictArguments, lines: list[str], output: Path) -> list[TaggedSentence]:
    """Write the entities of each line."""
    spans = [word_spans(line, args.pretokenized) for line in lines]
    model, tokenizer = load(AutoModelForTokenClassification, args)
    sentences = [[line[start:end] for start, end in row] for line, row in zip(lines, spans, strict=True)]
    with_words = [i for i, words in enumerate(sentences) if words]
    tagged = dict(zip(with_words, predict(model, tokenizer, [sentences[i] for i in with_words]), strict=True))
    if output.suffix == IOB2:
        text = format_iob2((sentence.tokens, sentence.tags) for sentence in tagged.values())
    else:
        rows = [describe(line, spans[i], tagged.get(i)) for i, line in enumerate(lines)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_whole(output, text)
    print(f"{sum(len(s.entities) for s in tagged.values())} entities in {len(tagged)} sentences are in {output}")
    if cut := sum(sentence.truncated for sentence in tagged.values()):
        print(f"{cut} words beyond the model's {model.config.max_seq_len} sub-words a line were tagged O")
    return list(tagged.values())


def input_lines(path: Path) -> list[str]:
    """The lines of a text file.

    Raises:
        InputError: the file does not exist, is not UTF-8 or has no words.
    """
    if not path.is_file():
        raise InputError(f"no file {path}: check input_file")
    lines = read_lines(path)
    if not any(map(str.strip, lines)):
        raise InputError(f"{path}: no text in it")
    return lines[:-1] if not lines[-1] else lines


def word_spans(line: str, pretokenized: bool) -> list[tuple[int, int]]:
    """Start and end of each word of a line, in characters."""
    return [match.span() for match in re.finditer(r"\S+", line)] if pretokenized else split_words(line)


def describe(line: str, spans: list[tuple[int, int]], tagged: TaggedSentence | None) -> dict:
    """A line and its entities, with start, end (in characters) and mean probability of each."""
    entities = []
    for entity, score in tagged.entities if tagged else []:
        start, end = spans[entity.start][0], spans[entity.end - 1][1]
        entities.append(
            {"start": start, "end": end, "text": line[start:end], "label": entity.label, "score": round(score, 4)}
        )
    return {"text": line, "entities": entities}


if __name__ == "__main__":
    run(main)
