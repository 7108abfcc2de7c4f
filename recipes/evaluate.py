"""Evaluate a checkpoint on held-out text: perplexity, and accuracy of adaptation to held-out words.

python -m pico_maml.recipes.evaluate --model runs/demo --episodes 200 --n_way 5 16 32 --k_shot 1 4
"""

from argparse import Namespace
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.hf_argparser import HfArg
from transformers.utils import logging

from ..callbacks import Source, measure_source
from ..trainers import InputError, MAMLConfig
from ..trainers.checks import check_at_least, check_choice
from ..trainers.class_episodes.adaptation import class_accuracies, class_table
from ..trainers.corpus import load_words, model_tokenizer
from ..trainers.loading import load_pretrained, load_with_head, load_word_classes, most_tokens
from ..trainers.meta import EpisodeModel, add_head
from ..trainers.meta.adaptation import Adaptation, adaptation_table, evaluate_adaptation
from ..trainers.meta.episode_config import SEPARATION, EpisodeConfig, of_word_episodes
from ..trainers.meta.query_outcomes import compare_outcomes, comparison_line
from ..trainers.model_name import deleted_afterwards
from ..trainers.runs.files import CLASSES_FILE
from ..trainers.runs.json_files import read_json, write_json
from ..trainers.tasks.adaptation import evaluate_tasks, task_text
from ..trainers.tasks.config import TaskConfig
from ..trainers.tasks.files import read_tasks
from ..trainers.tasks.table import TaskTable
from .arguments.corpus import CorpusArguments, check_fits
from .arguments.parser import parse, run
from .arguments.training_text import arguments_of_run, held_out_documents, measured_text

# Texts of which the mean perplexity is measured, unless eval_texts says otherwise.
TEXTS = 256
WORDS = ("held_out", "training", "all")


@dataclass
class EvaluateArguments:
    """Arguments of the evaluation. Episode settings that are unset are those of the checkpoint's training."""

    model: str = HfArg(help="Checkpoint: a folder, or user/name[@revision][:subfolder] on the Hub.")
    revision: str | None = HfArg(default=None, help="Revision of a Hub model (unset: main).")
    subfolder: str = HfArg(default="", help="Folder of the checkpoint inside the model, such as checkpoints/step_100.")
    tokenizer: str | None = HfArg(default=None, help="Folder or Hub name of the tokenizer (unset: the model's own).")
    output_file: str | None = HfArg(default=None, help="JSON file for the results (unset: they are only printed).")
    compare: str | None = HfArg(
        default=None, help="Output file of another model's evaluation: paired differences on the same episodes."
    )
    batch_size: int = HfArg(default=32, help="Blocks of a forward pass.")
    episodes: int = HfArg(default=200, help="Held-out episodes of each shape (0: none).")
    words: str = HfArg(default="held_out", help="Words of the episodes: held_out (from training), training or all.")
    n_way: list[int] = HfArg(default_factory=list, help="N, words in an episode. Several values are a sweep.")
    k_shot: list[int] = HfArg(default_factory=list, help="K, support windows of each word. Several are a sweep.")
    n_query: int | None = HfArg(default=None, help="Query windows of each word.")
    readout: str | None = HfArg(default=None, help="Hidden state that is classified: mask, previous or last.")
    episode_window: int | None = HfArg(default=None, help="Tokens in a support or query window.")
    word_max_frequency: float | None = HfArg(
        default=None, help="Words above this share of the text's tokens are no classes (1: no limit)."
    )
    held_out_words: float | None = HfArg(
        default=None, help="Share of the words that are held out (unset: as in training)."
    )
    held_out_rule: str | None = HfArg(
        default=None, help="What is held out: form, stem:LANGUAGE or id (unset: as in training; id without a record)."
    )
    episode_documents: str | None = HfArg(
        default=None,
        help="Support and query of a word come from different documents, any, or blocks apart "
        "(unset: different, with the figures of any beside them).",
    )
    meta_algorithm: str | None = HfArg(default=None, help="maml, proto-maml or protonet.")
    inner_steps: int | None = HfArg(default=None, help="SGD steps of the inner loop.")
    inner_lr: float | None = HfArg(default=None, help="Learning rate of the inner loop.")
    task_files: list[str] = HfArg(
        default_factory=list,
        help="Files of labelled tasks: adaptation to those that training held out, and to their held-out classes.",
    )
    task_window: int | None = HfArg(
        default=None, help="Tokens that are read of a text of task_files (unset: as in training)."
    )
    delete_downloads: bool = HfArg(default=False, help="Delete afterwards what was downloaded of the model.")
    seed: int = HfArg(default=0, help="Seed of the episodes. The same seed draws the same ones for every model.")

    def __post_init__(self) -> None:
        check_choice("words", self.words, WORDS)
        check_at_least(1, batch_size=self.batch_size)
        check_at_least(0, episodes=self.episodes, seed=self.seed)
        if self.compare is not None and self.episodes == 0:
            raise InputError("compare goes by the queries of episodes: set episodes above 0")
        if self.task_files and self.episodes == 0:
            raise InputError("task_files are for episodes: set episodes above 0")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the command; returns the results."""
    logging.disable_progress_bar()
    args, corpus = parse((EvaluateArguments, CorpusArguments), argv, prog="evaluate", defaults=defaults)
    with deleted_afterwards([args.model], args.delete_downloads):
        return evaluate(args, corpus)


def defaults(given: set[str], values: Namespace) -> dict[str, Any]:
    """Values of arguments that are not given: corpus and split of the model's run, and the whole held-out part."""
    of_run = arguments_of_run(given, values, values.model, values.revision, values.subfolder)
    return of_run | {"eval_blocks": 0, "eval_texts": None}


def evaluate(args: EvaluateArguments, corpus: CorpusArguments) -> dict[str, Any]:
    """Measure, print and save perplexity and the accuracy of episodes."""
    text = measured_text(corpus, args.model, args.revision, args.subfolder)
    other = read_json(queries_file(args.compare))["adaptation"] if args.compare is not None else None
    config = load_pretrained(AutoConfig, args.model, args.revision, subfolder=args.subfolder)
    model, trained_head = load_model(args, config)
    shapes = episode_shapes(args, model.config)
    tokenizer = model_tokenizer(args.model, args.revision, args.tokenizer)
    tasks = load_tasks(args, model.config, tokenizer)
    model.to(PartialState().device)
    documents = held_out_documents(corpus)
    held_out = corpus.held_out(documents, tokenizer, TEXTS)
    blocks = held_out.blocks
    sources = corpus.sources(tokenizer, documents, TEXTS)
    for source in (held_out, *sources.values()):
        check_fits(config, source.blocks, "the model")
    every = not 0 < corpus.eval_blocks <= len(blocks)
    print(f"model: {args.model}")
    print(f"text: {text}; {'all' if every else 'the first'} {len(blocks)} blocks")
    results: dict[str, Any] = {"model": args.model}
    results["text"] = asdict(text) | {"blocks": len(blocks), "all_blocks": every}
    results |= measure_perplexity(model, held_out, sources, args.batch_size)
    if args.episodes > 0:
        results |= {"words": args.words, "episode": shapes[0].episode_settings()}
        adaptations = measure_adaptation(args, model, held_out, tokenizer, shapes, trained_head)
        results["adaptation"] = [adaptation.figures() for adaptation in adaptations]
        queries = [adaptation.queries for adaptation in adaptations]
        if other is not None:
            results["compared"] = {"with": args.compare, "differences": compare(results["adaptation"], queries, other)}
        if args.output_file is not None:
            write_json(queries_file(args.output_file), {"adaptation": queries}, indent=None)
        if args.episode_documents is None:
            shapes = [shape.with_documents("any") for shape in shapes]
            any_documents = measure_adaptation(args, model, held_out, tokenizer, shapes, trained_head)
            results["adaptation_any_documents"] = [adaptation.figures() for adaptation in any_documents]
        if trained_head and not model.head_tells_words:
            results["class_accuracy"] = measure_classes(args, model, held_out, tokenizer)
        if tasks is not None:
            results["task_adaptation"] = measure_tasks(args, model, tasks, shapes, trained_head)
    if args.output_file is not None:
        write_json(Path(args.output_file), results)
    return results


def measure_perplexity(
    model: EpisodeModel, held_out: Source, sources: dict[str, Source], batch_size: int
) -> dict[str, Any]:
    """Measure and print the loss and both perplexities of held-out text, and of each source (see `measure_source`)."""
    results: dict[str, Any] = {"tokens": held_out.blocks[:, 1:].numel()}
    results |= measure_source(model, held_out._replace(text_bytes=0), batch_size)
    for name, value in results.items():
        print(f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value}")
    by_source = {}
    for name, source in sources.items():
        measured = measure_source(model, source, batch_size)
        del measured["next_token_loss"]
        by_source[name] = measured
        print(f"{name}: " + ", ".join(f"{quantity} {value:.4f}" for quantity, value in measured.items()))
    return results | ({"sources": by_source} if by_source else {})


def measure_adaptation(
    args: EvaluateArguments,
    model: EpisodeModel,
    held_out: Source,
    tokenizer: PreTrainedTokenizerBase,
    shapes: list[EpisodeConfig],
    trained_head: bool,
) -> list[Adaptation]:
    """Measure and print the accuracy of adaptation to episodes of each shape, drawn from held-out text."""
    adaptations = [evaluate_shape(args, model, held_out, tokenizer, shape, trained_head) for shape in shapes]
    print(f"\nQuery accuracy on {args.words} words, 95 % intervals over {args.episodes} episodes")
    print(f"support and query of a word come from: {SEPARATION[shapes[0].episode_documents]}")
    available = ", ".join(map(str, sorted({adaptation.words_available for adaptation in adaptations})))
    print(f"words that can be classes: {available}; words held out by: {shapes[0].held_out_rule}")
    print(adaptation_table(adaptations))
    return adaptations


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


def load_tasks(
    args: EvaluateArguments, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> TaskTable | None:
    """The labelled tasks to measure on, None without `task_files`; InputError if they do not fit the model."""
    if not args.task_files:
        return None
    longest = most_tokens(config)
    default = int(min(TaskConfig.task_window, longest))
    window = args.task_window or (config.to_dict().get("episode") or {}).get("task_window", default)
    if window > longest:
        raise InputError(f"task_window is {window}, but the model reads {longest} tokens: lower it")
    return TaskTable.from_rows(read_tasks(args.task_files), tokenizer, window)


def measure_tasks(
    args: EvaluateArguments,
    model: EpisodeModel,
    tasks: TaskTable,
    shapes: list[EpisodeConfig],
    trained_head: bool,
) -> list[dict[str, Any]]:
    """Measure and print the accuracy of adaptation to tasks and classes that training had, and had not."""
    measured = []
    for shape in shapes:
        measured += evaluate_tasks(model, tasks, shape, args.episodes, args.seed, trained_head)
    for each in measured:
        print(task_text(each))
    return [each.figures() for each in measured]


def queries_file(output_file: str) -> Path:
    """The file beside the results that holds the answer to each query of their episodes."""
    return Path(output_file).with_suffix(".queries.json")


def compare(
    shapes: list[dict[str, Any]], queries: list[dict[str, list[int]]], other: list[dict[str, list[int]]]
) -> list[dict[str, Any]]:
    """Compare and print the answers of this model and another one to the same queries, shape by shape."""
    if len(queries) != len(other):
        raise InputError(f"compare: {len(queries)} episode shapes here and {len(other)} there: give the same ones")
    print("\nThis checkpoint minus the other on the same queries, in points, 95 % intervals over words and documents")
    compared = []
    for shape, own, others in zip(shapes, queries, other, strict=True):
        differences = compare_outcomes(own, others)
        print(comparison_line(shape, differences))
        compared.append({name: asdict(difference) for name, difference in differences.items()})
    print("Two checkpoints, one run each: not enough runs to say which method is better.")
    return compared


def episode_shapes(args: EvaluateArguments, config: PreTrainedConfig) -> list[EpisodeConfig]:
    """Each shape of episode to run: the given settings, for unset ones those of the checkpoint's training."""
    known = {f.name for f in fields(EpisodeConfig)}
    # A model that was trained without episodes may have no mask token, which the other readouts need.
    # Checkpoints without a rule were saved when words were held out by their ids.
    own = {"held_out_rule": "id"} | of_word_episodes(config.to_dict().get("episode") or {"readout": "previous"})
    own["episode_documents"] = "different"  # also for episodes that training drew otherwise
    given = {name: value for name, value in asdict(args).items() if name in known and value not in (None, [])}
    trained_on_words = own.get("hybrid_ratio", 0) > 0 and args.words != "all"
    if trained_on_words and given.get("held_out_rule", own["held_out_rule"]) != own["held_out_rule"]:
        raise InputError(
            f"held_out_rule is {given['held_out_rule']}, but training held out words by {own['held_out_rule']}: by "
            "another rule some of them were classes in training; omit it, or give --words all"
        )
    if trained_on_words and given.get("held_out_words", 0) > own["held_out_words"]:
        raise InputError(
            f"held_out_words is {given['held_out_words']}, but training held out {own['held_out_words']}: the other "
            "words were classes in training; lower it, or give --words all"
        )
    settings = {name: value for name, value in {**own, **given}.items() if name in known}
    ways = args.n_way or [settings.pop("n_way", EpisodeConfig.n_way)]
    shots = args.k_shot or [settings.pop("k_shot", EpisodeConfig.k_shot)]
    return [EpisodeConfig(**{**settings, "n_way": n, "k_shot": k}) for n in ways for k in shots]


def evaluate_shape(
    args: EvaluateArguments,
    model: EpisodeModel,
    held_out: Source,
    tokenizer: PreTrainedTokenizerBase,
    shape: EpisodeConfig,
    trained_head: bool,
) -> Adaptation:
    """Run the episodes of one shape on windows of held-out text."""
    mask_id = tokenizer.mask_token_id
    if mask_id >= model.config.vocab_size and shape.readout != "previous":
        raise InputError(f"the model has no embedding of a mask, which readout {shape.readout} needs: give previous")
    words = load_words(tokenizer, model.config.vocab_size, shape.held_out_rule)
    if args.words != "all":
        words = words.split(shape.held_out_words)[args.words == "held_out"]
    try:
        blocks, documents = held_out.for_episodes()
        return evaluate_adaptation(
            model, blocks, words, mask_id, shape, args.episodes, args.seed, trained_head, documents
        )
    except InputError as error:
        hint = "; or raise eval_blocks or eval_fraction, give --words all, or set episodes to 0"
        raise InputError(f"{args.words} words of held-out text: {error}{hint}") from error


def load_model(args: EvaluateArguments, config: PreTrainedConfig) -> tuple[EpisodeModel, bool]:
    """The model with a head for episodes, and True if that head was trained."""
    model = load_with_head(args.model, args.revision, subfolder=args.subfolder)
    if model is not None:
        return model, (config.to_dict().get("episode") or {"hybrid_ratio": 1})["hybrid_ratio"] > 0
    model = load_pretrained(AutoModelForCausalLM, args.model, args.revision, subfolder=args.subfolder)
    head = {"ways": EpisodeConfig.n_way, "layers": MAMLConfig.head_layers, "hidden_dim": MAMLConfig.head_hidden_dim}
    return add_head(model, args.seed, **head), False


if __name__ == "__main__":
    run(main)
