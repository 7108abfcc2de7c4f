"""Print what a run read at some steps, or write it as JSON lines: texts, documents, episodes with classes and windows.

python -m pico_maml.recipes.replay --run runs/demo --steps 120
python -m pico_maml.recipes.replay --run runs/demo --steps 1 2 3 --output_file runs/read.jsonl
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.hf_argparser import HfArg
from transformers.utils import logging

from ...trainers.checks import check_at_least
from ...trainers.runs.whole_file import write_whole
from ..arguments.parser import parse
from .describe import as_json, as_text
from .run_again import MicroBatch, run_again


@dataclass
class ReplayArguments:
    """The run and its steps."""

    run: str = HfArg(help="Folder of a pretraining run, which needs its corpus where it was.")
    steps: list[int] = HfArg(help="Optimizer steps, from 1.")
    output_file: str | None = HfArg(default=None, help="New file, a micro-batch a line in JSON (unset: print text).")

    def __post_init__(self) -> None:
        check_at_least(1, steps=min(self.steps))


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run the command; returns a description of each micro-batch."""
    (args,) = parse((ReplayArguments,), argv, prog="replay")
    logging.disable_progress_bar()
    read: list[MicroBatch] = []
    corpus = run_again(Path(args.run), args.steps, read.append)
    classes = None if corpus.classes is None else corpus.classes.classes
    described = [as_json(batch, corpus.tokenizer, classes, corpus.names) for batch in read]
    if args.output_file is None:
        sys.stdout.write("".join(map(as_text, described)))
    else:
        write_whole(Path(args.output_file), "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in described))
    return described
