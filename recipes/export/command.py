"""Write a checkpoint in the format of another program.

    python -m pico_maml.recipes.export --model runs/demo --format hub --output_dir runs/demo-hub

Formats: `hub` loads with trust_remote_code without this package; `llama` is a LlamaForCausalLM for vLLM, SGLang and
TGI; `gguf` is one file for llama.cpp and Ollama; `published` has the tensor names of the first Pico checkpoints.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    LlamaForCausalLM,
)
from transformers.hf_argparser import HfArg
from transformers.utils import logging

from ...modeling_pico import PicoForCausalLM, PicoForSequenceClassification, PicoForTokenClassification
from ...modeling_pico.classifiers_pico import PicoClassifier
from ...modeling_pico.conversion_pico import llama_config, llama_state_dict, published_state_dict
from ...modeling_pico.remote_code import add_remote_code
from ...trainers import InputError
from ...trainers.checks import check_choice
from ...trainers.corpus import check_vocabulary, model_tokenizer
from ...trainers.loading import load_pretrained
from ...trainers.runs.files import ARGUMENTS_FILE
from ...trainers.runs.folder import check_free
from ...trainers.runs.json_files import write_json
from ..arguments.parser import parse
from ..arguments.run_record import recorded_arguments
from .gguf_file import write_gguf

# Classes of fine-tuned models, which only the format `hub` has.
CLASSIFIERS = {
    PicoForSequenceClassification.__name__: ("classifier", AutoModelForSequenceClassification),
    PicoForTokenClassification.__name__: ("tagger", AutoModelForTokenClassification),
}
FORMATS = ("hub", "llama", "gguf", "published")
# Keys of config.json that the loaders of the published checkpoints read.
PUBLISHED_KEYS = (
    "activation_hidden_dim",
    "attention_n_heads",
    "attention_n_kv_heads",
    "d_model",
    "max_seq_len",
    "model_type",
    "n_layers",
    "norm_eps",
    "position_emb_theta",
    "vocab_size",
)


@dataclass
class ExportArguments:
    """Arguments of the export."""

    model: str = HfArg(help="Checkpoint: a folder, or user/name[@revision][:subfolder] on the Hub.")
    format: str = HfArg(help=f"One of {', '.join(FORMATS)}.")
    output_dir: str = HfArg(help="New folder.")
    revision: str | None = HfArg(default=None, help="Revision of a Hub model.")
    tokenizer: str | None = HfArg(default=None, help="Folder or Hub name of the tokenizer (unset: the model's own).")

    def __post_init__(self) -> None:
        check_choice("format", self.format, FORMATS)


def main(argv: list[str] | None = None) -> None:
    """Run the recipe."""
    logging.disable_progress_bar()
    (args,) = parse((ExportArguments,), argv, prog="export")
    output_dir = Path(args.output_dir)
    check_free(output_dir)
    config = load_pretrained(AutoConfig, args.model, args.revision)
    kind, auto_class = CLASSIFIERS.get((config.architectures or [""])[0], ("", AutoModelForCausalLM))
    if kind and args.format != "hub":
        raise InputError(f"{args.model!r} is a {kind}, which the format {args.format} does not have: export it as hub")
    model = load_pretrained(auto_class, args.model, args.revision, dtype="auto")
    tokenizer = model_tokenizer(args.model, args.revision, args.tokenizer)
    if not isinstance(model, PicoForCausalLM | PicoClassifier):
        raise InputError(
            f"{args.model!r} is a {type(model).__name__}, not a Pico model: its folder is already in its own format"
        )
    check_vocabulary(tokenizer, model.config.vocab_size)
    if args.format == "gguf":
        write_gguf(model, tokenizer, output_dir)
    else:
        export = {"hub": export_hub, "llama": export_llama, "published": export_published}[args.format]
        export(model, output_dir)
    tokenizer.save_pretrained(output_dir)
    if arguments := recorded_arguments(args.model, args.revision):
        write_json(output_dir / ARGUMENTS_FILE, arguments)
    print(f"{output_dir}: {args.model} as {args.format}")


def export_hub(model: PicoForCausalLM | PicoClassifier, folder: Path) -> None:
    """Write weights, configuration and the modelling files, for all five Auto classes."""
    model.save_pretrained(folder)
    add_remote_code(folder, folder / "config.json")


def export_llama(model: PicoForCausalLM, folder: Path) -> None:
    """Write a LLaMA with the same logits."""
    with torch.device("meta"):
        llama = LlamaForCausalLM(llama_config(model.config))
    llama.load_state_dict(llama_state_dict(model.config, model.state_dict()), assign=True)
    llama.config.dtype = model.dtype
    llama.generation_config = model.generation_config
    llama.save_pretrained(folder)


def export_published(model: PicoForCausalLM, folder: Path) -> None:
    """Write the names and keys of the published checkpoints, which have loaders of their own."""
    if model.config.tie_word_embeddings:
        raise InputError("the format published has no tied embeddings: export this model as hub or llama")
    rope = model.config.rope_parameters
    assert rope is not None  # filled in by the configuration
    if rope["rope_type"] != "default":
        raise InputError(f"the format published has no scaled positions ({rope}): export this model as hub or llama")
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in published_state_dict(model.state_dict()).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {name: value for name, value in model.config.to_dict().items() if name in PUBLISHED_KEYS}
    # These loaders read the base of the angles under this key only.
    config["position_emb_theta"] = rope["rope_theta"]
    config |= {"architectures": ["PicoDecoderHF"], "torch_dtype": str(model.dtype).removeprefix("torch.")}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
