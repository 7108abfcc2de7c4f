"""Measure how well a model adapts to words of held-out text."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from ...callbacks import Source
from ...trainers import InputError
from ...trainers.corpus import load_words
from ...trainers.meta import EpisodeModel
from ...trainers.meta.adaptation import Adaptation, adaptation_table, evaluate_adaptation
from ...trainers.meta.episode_config import SEPARATION, EpisodeConfig, of_word_episodes
from ...trainers.meta.query_outcomes import compare_outcomes, comparison_line
from .arguments import EvaluateArguments


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
