"""Fine-tune a checkpoint and score it.

python -m pico_maml.recipes.finetune --model runs/demo --treebank da_ddt --mode full --output_dir OUT
python -m pico_maml.recipes.finetune --task text-classification --model runs/demo --dataset reviews --output_dir OUT
"""

from pathlib import Path
from typing import Any

from datasets import disable_progress_bars
from transformers.utils import logging

from ...trainers.model_name import deleted_afterwards
from ...trainers.process_group import leave
from ...trainers.runs.folder import check_free, claimed
from ..arguments.parser import parse, peek
from . import ner, text_classification
from .arguments import NER, TEXT_CLASSIFICATION, TaskArguments

TASKS = {NER: ner, TEXT_CLASSIFICATION: text_classification}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the command; returns the content of results.json."""
    every_type = [cls for task in TASKS.values() for cls in task.TYPES]
    task = TASKS[peek(TaskArguments, argv, every_type).task]
    data_args, args = parse(task.TYPES, argv, prog="finetune")
    if not data_args.shots:
        args.check_mode()
    with (
        claimed(Path(args.output_dir), args.process_index == 0),
        deleted_afterwards([data_args.model], data_args.delete_downloads),
    ):
        disable_progress_bars()
        logging.disable_progress_bar()  # transformers' bars for files break ours
        check_free(Path(args.output_dir))
        results = task.finetune(data_args, args)
        leave()
        return results
