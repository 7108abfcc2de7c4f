"""Evaluate a checkpoint on held-out text: perplexity, and adaptation to episodes it was not trained on.

python -m pico_maml.recipes.evaluate --model runs/demo --block_size 128 --output_file runs/demo/evaluation.json
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig
from transformers.utils import logging

from ..callbacks import held_out_loss
from ..modeling_pico import PicoConfig, PicoForCausalLM
from ..trainers import InputError
from ..trainers.adaptation import evaluate_adaptation
from ..trainers.corpus import WordTable, load_tokenizer
from ..trainers.episode_config import EpisodeConfig
from ..trainers.meta_model import PicoForMetaCausalLM
from .arguments import parse, run
from .corpus_arguments import CorpusArguments
from .loading import load_pretrained
from .run_folder import save_json


@dataclass
class EvaluateArguments:
    """Arguments of the evaluation. Episode settings left out are those the checkpoint was trained with."""

    model: str = field(metadata={"help": "Checkpoint: a folder or a Hub name."})
    revision: str | None = field(default=None, metadata={"help": "Revision of a Hub model."})
    output_file: str | None = field(
        default=None, metadata={"help": "JSON file for the results, which are printed too."}
    )
    batch_size: int = field(default=32, metadata={"help": "Blocks of a forward pass."})
    episodes: int = field(
        default=100, metadata={"help": "Held-out episodes (0: none); skipped for a model without a head."}
    )
    k_shot: int | None = field(default=None, metadata={"help": "Support windows of each word."})
    n_query: int | None = field(default=None, metadata={"help": "Query windows of each word."})
    inner_steps: int | None = field(default=None, metadata={"help": "SGD steps of the inner loop."})
    inner_lr: float | None = field(default=None, metadata={"help": "Learning rate of the inner loop."})
    seed: int = field(default=0, metadata={"help": "The same seed draws the same episodes for every model."})


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the recipe; returns what it prints."""
    logging.disable_progress_bar()
    args, corpus = parse((EvaluateArguments, CorpusArguments), argv, prog="evaluate")
    config = load_pretrained(AutoConfig, args.model, args.revision)
    model, has_head = load_with_head(args.model, args.revision, config)
    if corpus.block_size > config.max_seq_len:
        raise InputError(f"block_size is {corpus.block_size}, the model reads {config.max_seq_len} tokens: lower it")
    tokenizer = load_tokenizer(args.model, args.revision)
    model.to("cuda" if torch.cuda.is_available() else "cpu")

    _, documents = corpus.documents()
    blocks = corpus.held_out_blocks(documents, tokenizer)
    held_out = held_out_loss(model, blocks, args.batch_size)
    results: dict[str, Any] = {
        "model": args.model,
        "tokens": held_out.tokens,
        "next_token_loss": held_out.loss,
        "perplexity": held_out.perplexity,
    }
    if has_head and args.episodes > 0:
        overrides = {name: value for name, value in asdict(args).items() if name in config.episode}
        settings = {**config.episode, **{name: value for name, value in overrides.items() if value is not None}}
        words = WordTable.from_tokenizer(tokenizer, config.vocab_size)
        pool, mask_id = blocks[:, :-1], tokenizer.mask_token_id
        try:
            adaptation = evaluate_adaptation(
                model, pool, words, mask_id, EpisodeConfig(**settings), args.episodes, args.seed
            )
        except InputError as error:
            raise InputError(f"held-out text: {error}; raise eval_blocks or set episodes to 0") from error
        results["adaptation"] = asdict(adaptation)
    for name, value in {**results, **results.get("adaptation", {})}.items():
        if not isinstance(value, dict):
            print(f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value}")
    if args.output_file is not None:
        save_json(Path(args.output_file), results)
    return results


def load_with_head(name: str, revision: str | None, config: PicoConfig) -> tuple[PicoForCausalLM, bool]:
    """A checkpoint, with the head of the episodes where it holds one, and whether it does."""
    if "meta_head" in config.to_dict():
        model, info = load_pretrained(PicoForMetaCausalLM, name, revision, output_loading_info=True)
        # An export keeps the configuration but not the head, which would then be a random one.
        if not any(key.startswith("meta_head.") for key in info["missing_keys"]):
            return model, True
    model, info = load_pretrained(PicoForCausalLM, name, revision, output_loading_info=True)
    if info["missing_keys"]:
        raise InputError(f"{name!r} holds no language model: {', '.join(sorted(info['missing_keys']))} missing")
    return model, False


if __name__ == "__main__":
    run(main)
