"""Evaluate a checkpoint on held-out text: perplexity, and accuracy of adaptation to held-out words.

python -m pico_maml.recipes.evaluate --model runs/demo --episodes 200 --n_way 5 16 32 --k_shot 1 4
"""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig
from transformers.utils import logging

from ...callbacks import Source, measure_source
from ...trainers import MAMLConfig
from ...trainers.corpus import model_tokenizer
from ...trainers.loading import load_pretrained, load_with_head
from ...trainers.meta import EpisodeModel, add_head
from ...trainers.meta.episode_config import EpisodeConfig
from ...trainers.model_name import deleted_afterwards
from ...trainers.runs.json_files import read_json, write_json
from ..arguments.corpus import CorpusArguments, check_fits
from ..arguments.parser import parse
from ..arguments.training_text import arguments_of_run, held_out_documents, measured_text
from .arguments import EvaluateArguments
from .classes import measure_classes
from .tasks import load_tasks, measure_tasks
from .word_episodes import compare, episode_shapes, measure_adaptation, queries_file

# Texts of which the mean perplexity is measured, unless eval_texts says otherwise.
TEXTS = 256


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


def load_model(args: EvaluateArguments, config: PreTrainedConfig) -> tuple[EpisodeModel, bool]:
    """The model with a head for episodes, and True if that head was trained."""
    model = load_with_head(args.model, args.revision, subfolder=args.subfolder)
    if model is not None:
        return model, (config.to_dict().get("episode") or {"hybrid_ratio": 1})["hybrid_ratio"] > 0
    model = load_pretrained(AutoModelForCausalLM, args.model, args.revision, subfolder=args.subfolder)
    head = {"ways": EpisodeConfig.n_way, "layers": MAMLConfig.head_layers, "hidden_dim": MAMLConfig.head_hidden_dim}
    return add_head(model, args.seed, **head), False
