"""Evaluate a checkpoint on held-out text: perplexity, and adaptation to held-out words.

python -m pico_maml.recipes.evaluate --model runs/demo --block_size 128 --episodes 200 --n_way 5 16 32 --k_shot 1 4
"""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import AutoConfig, PreTrainedTokenizerBase
from transformers.utils import logging

from ..callbacks import Source, held_out_loss
from ..modeling_pico import PicoConfig, PicoForCausalLM
from ..trainers import InputError, MAMLConfig
from ..trainers.checks import check_choice
from ..trainers.corpus import WordTable, load_tokenizer
from ..trainers.loading import load_pretrained
from ..trainers.meta.adaptation import Adaptation, adaptation_table, evaluate_adaptation
from ..trainers.meta.episode_config import EpisodeConfig
from ..trainers.meta.meta_model import PicoForMetaCausalLM
from ..trainers.model_name import deleted_afterwards
from ..trainers.runs.json_files import write_json
from .arguments.corpus import CorpusArguments
from .arguments.parser import parse, run

WORDS = ("held_out", "training", "all")


@dataclass
class EvaluateArguments:
    """Arguments of the evaluation. Episode settings left out are those the checkpoint was trained with."""

    model: str = field(metadata={"help": "Checkpoint: a folder, or user/name[@revision][:subfolder] on the Hub."})
    revision: str | None = field(default=None, metadata={"help": "Revision of a Hub model."})
    subfolder: str = field(
        default="", metadata={"help": "Folder inside the model's, as `checkpoints/step_100` of the published ones."}
    )
    tokenizer: str | None = field(
        default=None, metadata={"help": "Folder or Hub name; unset: the model's own, beside its weights."}
    )
    output_file: str | None = field(
        default=None, metadata={"help": "JSON file for the results, which are printed too."}
    )
    batch_size: int = field(default=32, metadata={"help": "Blocks of a forward pass."})
    episodes: int = field(default=200, metadata={"help": "Held-out episodes of each shape (0: none)."})
    words: str = field(
        default="held_out",
        metadata={
            "help": "Classes: `held_out` words, which no training episode asked for, `training` words or `all`."
        },
    )
    n_way: list[int] = field(default_factory=list, metadata={"help": "N, words in an episode; several are a sweep."})
    k_shot: list[int] = field(
        default_factory=list, metadata={"help": "K, support windows of each word; several are a sweep."}
    )
    n_query: int | None = field(default=None, metadata={"help": "Query windows of each word."})
    readout: str | None = field(default=None, metadata={"help": "Which state is classified: mask, previous or last."})
    episode_window: int | None = field(default=None, metadata={"help": "Tokens in a support or query window."})
    word_max_frequency: float | None = field(
        default=None, metadata={"help": "Words above this share of the text's tokens are no classes (1: no limit)."}
    )
    held_out_words: float | None = field(
        default=None, metadata={"help": "Share of the words that count as held out; unset: what training held out."}
    )
    meta_algorithm: str | None = field(default=None, metadata={"help": "maml, proto-maml or protonet."})
    inner_steps: int | None = field(default=None, metadata={"help": "SGD steps of the inner loop."})
    inner_lr: float | None = field(default=None, metadata={"help": "Learning rate of the inner loop."})
    delete_downloads: bool = field(
        default=False, metadata={"help": "Delete afterwards what was downloaded of the model from the Hub."}
    )
    seed: int = field(default=0, metadata={"help": "The same seed draws the same episodes for every model."})

    def __post_init__(self) -> None:
        check_choice("words", self.words, WORDS)
        for name, least in (("batch_size", 1), ("episodes", 0), ("seed", 0)):
            if self.__dict__[name] < least:
                raise InputError(f"{name} must be at least {least}, got {self.__dict__[name]}")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the recipe; returns what it prints."""
    logging.disable_progress_bar()
    args, corpus = parse((EvaluateArguments, CorpusArguments), argv, prog="evaluate")
    with deleted_afterwards([args.model], args.delete_downloads):
        return evaluate(args, corpus)


def evaluate(args: EvaluateArguments, corpus: CorpusArguments) -> dict[str, Any]:
    """Measure, print and save."""
    config = load_pretrained(AutoConfig, args.model, args.revision, subfolder=args.subfolder)
    model, trained_head = load_with_head(args, config)
    shapes = episode_shapes(args, model.config)
    if corpus.block_size > config.max_seq_len:
        raise InputError(f"block_size is {corpus.block_size}, the model reads {config.max_seq_len} tokens: lower it")
    tokenizer = load_tokenizer(args.tokenizer) if args.tokenizer else load_tokenizer(args.model, args.revision)
    model.to(PartialState().device)

    _, documents = corpus.documents()
    blocks = corpus.held_out_blocks(documents, tokenizer)
    if blocks.max() >= config.vocab_size:
        raise InputError(
            f"the held-out text holds the token id {blocks.max()}, the model only {config.vocab_size} tokens: "
            "name its own tokenizer with --tokenizer"
        )
    held_out = held_out_loss(model, blocks, args.batch_size)
    results: dict[str, Any] = {
        "model": args.model,
        "tokens": held_out.tokens,
        "next_token_loss": held_out.loss,
        "perplexity": held_out.perplexity,
    }
    for name, value in results.items():
        print(f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value}")
    for name, ids in corpus.source_blocks(tokenizer).items():
        source = held_out_loss(model, ids, args.batch_size)
        bits = source.bits_per_byte(Source.from_blocks(ids, tokenizer).text_bytes)
        results.setdefault("sources", {})[name] = {"perplexity": source.perplexity, "bits_per_byte": bits}
        print(f"{name}: perplexity {source.perplexity:.4f}, {bits:.4f} bits per byte")
    if args.episodes > 0:
        adaptations = [evaluate_shape(args, model, blocks[:, :-1], tokenizer, shape, trained_head) for shape in shapes]
        print(f"\nQuery accuracy on {args.words} words, 95 % intervals over {args.episodes} episodes")
        print(adaptation_table(adaptations))
        results |= {"words": args.words, "adaptation": [asdict(adaptation) for adaptation in adaptations]}
        results["episode"] = shapes[0].episode_settings()
    if args.output_file is not None:
        write_json(Path(args.output_file), results)
    return results


def episode_shapes(args: EvaluateArguments, config: PicoConfig) -> list[EpisodeConfig]:
    """The episodes to run: the checkpoint's own, with what was asked for instead."""
    known = {f.name for f in fields(EpisodeConfig)}
    # A checkpoint without episodes of its own needs no mask token this way.
    own = config.to_dict().get("episode") or {"readout": "previous"}
    asked = {name: value for name, value in asdict(args).items() if name in known and value not in (None, [])}
    if own.get("hybrid_ratio", 0) > 0 and asked.get("held_out_words", 0) > own["held_out_words"]:
        raise InputError(
            f"held_out_words is {asked['held_out_words']}, but training held out {own['held_out_words']}: the other "
            "words were classes in training; lower it, or take --words all"
        )
    settings = {name: value for name, value in {**own, **asked}.items() if name in known}
    ways = args.n_way or [settings.pop("n_way", EpisodeConfig.n_way)]
    shots = args.k_shot or [settings.pop("k_shot", EpisodeConfig.k_shot)]
    return [EpisodeConfig(**{**settings, "n_way": n, "k_shot": k}) for n in ways for k in shots]


def evaluate_shape(
    args: EvaluateArguments,
    model: PicoForMetaCausalLM,
    pool: torch.Tensor,
    tokenizer: PreTrainedTokenizerBase,
    shape: EpisodeConfig,
    trained_head: bool,
) -> Adaptation:
    """Run the episodes of one shape."""
    mask_id = tokenizer.mask_token_id
    if mask_id >= model.config.vocab_size and shape.readout != "previous":
        raise InputError(f"the model has no embedding of a mask, which readout {shape.readout} needs: take previous")
    words = WordTable.from_tokenizer(tokenizer, model.config.vocab_size)
    if args.words != "all":
        words = words.split(shape.held_out_words)[args.words == "held_out"]
    try:
        return evaluate_adaptation(model, pool, words, mask_id, shape, args.episodes, args.seed, trained_head)
    except InputError as error:
        hint = "; or raise eval_blocks or eval_fraction, take --words all, or set episodes to 0"
        raise InputError(f"{args.words} words of held-out text: {error}{hint}") from error


def load_with_head(args: EvaluateArguments, config: PicoConfig) -> tuple[PicoForMetaCausalLM, bool]:
    """A checkpoint with a head for episodes, and whether it was trained with one."""
    place = {"subfolder": args.subfolder, "output_loading_info": True}
    if "meta_head" in config.to_dict():
        model, info = load_pretrained(PicoForMetaCausalLM, args.model, args.revision, **place)
        # An export keeps the configuration but not the head, which would then be a random one.
        if not info["missing_keys"]:
            return model, (config.to_dict().get("episode") or {"hybrid_ratio": 1})["hybrid_ratio"] > 0
    model, info = load_pretrained(PicoForCausalLM, args.model, args.revision, **place)
    if info["missing_keys"]:
        raise InputError(f"{args.model!r} holds no language model: {', '.join(sorted(info['missing_keys']))} missing")
    head = {"ways": EpisodeConfig.n_way, "layers": MAMLConfig.head_layers, "hidden_dim": MAMLConfig.head_hidden_dim}
    return PicoForMetaCausalLM.from_causal_lm(model, args.seed, **head), False


if __name__ == "__main__":
    run(main)
