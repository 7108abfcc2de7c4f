"""Measure how well the head of class episodes tells the classes of words of held-out text."""

from dataclasses import asdict
from typing import Any

from transformers import PreTrainedTokenizerBase

from ...callbacks import Source
from ...trainers.class_episodes.adaptation import class_accuracies, class_table
from ...trainers.loading import load_word_classes
from ...trainers.meta import EpisodeModel
from ...trainers.runs.files import CLASSES_FILE
from .arguments import EvaluateArguments


def measure_classes(
    args: EvaluateArguments, model: EpisodeModel, held_out: Source, tokenizer: PreTrainedTokenizerBase
) -> list[dict[str, Any]]:
    """Measure and print how well the head of class episodes tells the classes of words of held-out text."""
    classes = load_word_classes(args.model, args.revision, args.subfolder)
    if classes is None:
        print(f"\nThe head tells classes of words, but {CLASSES_FILE} is not beside the model: it is not measured")
        return []
    accuracies = class_accuracies(model, *held_out.for_episodes(), tokenizer, classes, args.seed)
    print("\nAccuracy of telling the class of a word, 95 % intervals over words and documents")
    print("before and after the support set; shuffled: after support words changed labels")
    print(class_table(accuracies))
    return [asdict(accuracy) for accuracy in accuracies]
