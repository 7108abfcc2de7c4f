"""Write a Pico as one GGUF file, weights and tokenizer, for llama.cpp and programs built on it.

GGUF's `llama` architecture rotates neighbouring pairs in RoPE, as Pico does, so no rows are reordered.
Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from ...modeling_pico import PicoConfig, PicoForCausalLM
from ...modeling_pico.conversion_pico import llama_name
from ...trainers import InputError

GGUF_FILE = "model.gguf"


def write_gguf(model: PicoForCausalLM, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write `folder`/model.gguf in the dtype of the model, with norms in fp32 as llama.cpp requires.

    Raises:
        InputError: the package gguf is missing, or GGUF cannot represent the model or the tokenizer.
    """
    try:
        import gguf
    except ImportError as error:
        raise InputError("the format gguf needs the package gguf: pip install gguf") from error

    config = model.config
    rope = config.rope_parameters
    assert rope is not None  # filled in by the configuration
    if rope["rope_type"] != "default":
        raise InputError(f"the format gguf has no scaled positions ({rope}): export this model as llama")
    vocabulary = read_tokenizer(tokenizer, config.vocab_size)
    kinds = {
        torch.float32: (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
        torch.float16: (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
        torch.bfloat16: (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    }
    if model.dtype not in kinds:
        raise InputError(f"the model is in {model.dtype}: the format gguf has float32, float16 and bfloat16")
    kind, file_type = kinds[model.dtype]

    folder.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(folder / GGUF_FILE, "llama")
    writer.add_name("Pico")
    writer.add_file_type(file_type)
    _add_shape(writer, config)
    writer.add_tokenizer_model("gpt2")  # byte-level BPE
    writer.add_tokenizer_pre("gpt-2")  # the expression that splits text into words
    writer.add_token_list(vocabulary["tokens"])
    writer.add_token_types([gguf.TokenType[kind] for kind in vocabulary["types"]])
    writer.add_token_merges(vocabulary["merges"])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    # Documents begin after an end-of-text token; without this key llama.cpp would take token 11.
    writer.add_bos_token_id(tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id)
    writer.add_add_bos_token(False)
    if tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(tokenizer.pad_token_id)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.n_layers)
    for name, tensor in model.state_dict().items():
        if config.tie_word_embeddings and name == "de_embedding_proj.weight":
            continue  # readers use the embedding if there is no output matrix
        stored = gguf.GGMLQuantizationType.F32 if tensor.ndim == 1 else kind
        data = gguf.quantize(tensor.float().cpu().numpy(), stored)
        writer.add_tensor(names[llama_name(name).removesuffix(".weight")] + ".weight", data, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: Any, config: PicoConfig) -> None:
    assert config.rope_parameters is not None  # filled in by the configuration
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_seq_len)
    writer.add_embedding_length(config.d_model)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.activation_hidden_dim)
    writer.add_head_count(config.attention_n_heads)
    writer.add_head_count_kv(config.attention_n_kv_heads)
    writer.add_layer_norm_rms_eps(float(config.norm_eps))
    writer.add_rope_dimension_count(config.d_model // config.attention_n_heads)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))


def read_tokenizer(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> dict[str, list[str]]:
    """Return the `tokens` of a byte-level BPE by id, their GGUF `types` and the `merges`.

    Args:
        tokenizer: one that splits text as GPT-2 does, like the published ones and ours.
        vocab_size: rows of the embedding; rows without a token get unused ones.

    Raises:
        InputError: another kind of tokenizer, or one with ids beyond the embedding.
    """
    if not tokenizer.is_fast:
        raise InputError(f"{type(tokenizer).__name__} has no tokenizer.json: the format gguf needs a fast tokenizer")
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    model, splits = content["model"], content["pre_tokenizer"] or {}
    # llama.cpp does not normalise; NFC is accepted because nearly all text is in this form already.
    if (
        model["type"] != "BPE"
        or model.get("ignore_merges")
        or splits.get("type") != "ByteLevel"
        or splits["add_prefix_space"]
        or not splits["use_regex"]
        or (content["normalizer"] or {"type": "NFC"})["type"] != "NFC"
        or tokenizer("a")["input_ids"] != tokenizer("a", add_special_tokens=False)["input_ids"]
    ):
        raise InputError("the format gguf needs a byte-level BPE tokenizer that splits text as GPT-2 does")
    tokens = [f"[PAD{i}]" for i in range(vocab_size)]
    types = ["UNUSED"] * vocab_size
    added = {
        token["content"]: ("CONTROL" if token["special"] else "USER_DEFINED") for token in content["added_tokens"]
    }
    for token, i in tokenizer.get_vocab().items():
        if i >= vocab_size:
            # load_tokenizer adds a missing mask token, which models without masked episodes have no row for.
            if token == tokenizer.mask_token:
                continue
            raise InputError(f"token {token!r} has id {i}, but the model has {vocab_size} rows of embeddings")
        tokens[i], types[i] = token, added.get(token, "NORMAL")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return {"tokens": tokens, "types": types, "merges": merges}
