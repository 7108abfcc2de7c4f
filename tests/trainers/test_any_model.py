"""Language models of other architectures train with episodes, resume exactly, and are saved as their own class."""

import shutil

import pytest
import torch
from any_model import SHAPES, any_model
from labelled_tasks import write_tasks
from safetensors.torch import load_file
from same_run import logs, same, state
from small_run import arguments, classes_of, trainer
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig, BertLMHeadModel

from pico_maml.trainers import InputError, MAMLTrainer
from pico_maml.trainers.corpus import load_tokenizer
from pico_maml.trainers.meta import MetaCausalLM

OPTIONS = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "gradient_accumulation_steps": 1}
STREAM = {"hybrid_mode": "add", "episode_states": "stream", "readout": "previous"}
CLASSES = {
    "hybrid_mode": "add",
    "episode_classes": "classes.tsv",
    "readout": "word",
    "meta_algorithm": "protonet",
    "class_support": "memory",
    "class_layer": 1,
}
# Each architecture with another kind of episodes; gradient checkpointing and bf16 with one.
VARIANTS = {
    "gpt2": {"hybrid_mode": "add", "hybrid_ratio": 1.0, "matrix_optimizer": "muon"},
    "llama": STREAM | {"hybrid_ratio": 1.0},
    "qwen2": CLASSES | {"hybrid_ratio": 0.7},
    "gpt_neox": {"meta_algorithm": "proto-maml", "activation_checkpointing": True},
    "olmo2": {"hybrid_mode": "add", "episode_gradient_share": 0.3, "bf16": True},
}


@pytest.fixture(scope="module", params=SHAPES)
def run(request, tokenizer, blocks, tmp_path_factory):
    """A finished run of 4 steps with a checkpoint after step 2."""
    folder, kind = tmp_path_factory.mktemp(request.param), request.param
    tasks = {"task_files": [write_tasks(folder)], "task_share": 0.31, "task_window": 8} if kind == "gpt2" else {}

    def new() -> MAMLTrainer:
        args = arguments(folder / "run", **OPTIONS, **VARIANTS[kind], **tasks)
        return MAMLTrainer(any_model(kind, len(tokenizer) + 8), args, blocks, tokenizer, classes_of(args))

    whole = new()
    before = {name: p.detach().clone() for name, p in whole.model.named_parameters()}
    whole.train()
    whole.save_model()
    return kind, folder, new, whole, before


def test_decoder_and_head_are_trained(run):
    kind, folder, _, whole, before = run
    if kind == "gpt2":
        assert 0 < whole.counts["task_episodes"] < whole.counts["episodes"]
        assert [group["use_muon"] for group in whole.optimizer.param_groups] == [True, False, False]
    logged = {name for entry in logs(folder / "run") for name in entry}
    assert {
        "next_token_loss",
        "query_loss",
        "head_weight_norm_adapted" if kind != "qwen2" else "query_accuracy",
    } <= logged
    unchanged = [name for name, p in whole.model.named_parameters() if torch.equal(p, before[name])]
    heads = [name for name in unchanged if name.startswith("meta_head.")]
    assert [name for name in unchanged if name not in heads] == []
    # Prototypes need the projection alone; they replace the last layer.
    assert heads == (
        [f"meta_head.layers.0.{part}" for part in ("weight", "bias")]
        if kind == "qwen2"
        else [f"meta_head.layers.1.{part}" for part in ("weight", "bias")]
        if kind == "gpt_neox"
        else []
    )


def test_resumed_run_is_bitwise_the_whole_one(run):
    _, folder, new, _, _ = run
    shutil.copytree(folder / "run", folder / "kept")
    shutil.rmtree(folder / "run" / "checkpoint-4")
    new().train(resume_from_checkpoint=True)
    assert logs(folder / "run") == logs(folder / "kept")
    whole, part = (folder / name / "checkpoint-4" for name in ("kept", "run"))
    parts = state(part) | load_file(part / "meta_head.safetensors")
    assert [
        name
        for name, it in (state(whole) | load_file(whole / "meta_head.safetensors")).items()
        if not same(it, parts[name])
    ] == []


@pytest.mark.parametrize("place", ["", "checkpoint-4"])
def test_saved_folder_is_the_original_class_with_the_trained_weights(run, place):
    kind, folder, _, whole, _ = run
    loaded, info = AutoModelForCausalLM.from_pretrained(folder / "run" / place, output_loading_info=True)
    assert type(loaded) is type(any_model(kind, 10))
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert loaded.config.use_cache, "the Trainer switched it off"
    ids = torch.arange(20)[None]
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids).logits, whole.model.causal_lm.eval()(ids).logits, rtol=0, atol=0)
    text = "aa bc de ."
    assert AutoTokenizer.from_pretrained(folder / "run" / place)(text) == whole.processing_class(text)


def test_next_token_loss_is_that_of_the_model_itself(tokenizer, run):
    kind = run[0]
    model = any_model(kind, len(tokenizer)).eval()
    head = {"ways": 4}
    meta = MetaCausalLM.from_causal_lm(any_model(kind, len(tokenizer)), 0, **head).eval()
    ids = torch.arange(2 * 21).view(2, 21) % len(tokenizer)
    with torch.no_grad():
        expected = model(ids, labels=ids).loss
        torch.testing.assert_close(meta(ids[:, :-1], shift_labels=ids[:, 1:]).loss, expected)
        # The same when states are read in the same pass, which are those of the decoder.
        output = meta(ids[:, :-1], shift_labels=ids[:, 1:], keep_states=True)
        torch.testing.assert_close(output.loss, expected)
        torch.testing.assert_close(output.states, model.base_model(ids[:, :-1]).last_hidden_state)


def test_head_and_model_of_a_checkpoint_train_on(tokenizer, blocks, tmp_path):
    first = trainer(any_model("llama", len(tokenizer)), blocks, tokenizer, tmp_path / "first", max_steps=1)
    first.train()
    second = trainer(first.model, blocks, tokenizer, tmp_path / "second", max_steps=1)
    assert second.model is first.model
    with pytest.raises(InputError, match="n_way is 5, but the model's head has 4 classes"):
        trainer(first.model, blocks, tokenizer, tmp_path / "third", n_way=5)


def test_models_that_episodes_cannot_read_are_errors(tokenizer, blocks, tmp_path):
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    both_ways = BertLMHeadModel(BertConfig(vocab_size=len(tokenizer), **shape))
    llama = any_model("llama", len(tokenizer))
    for model, message in (
        (both_ways, "BertLMHeadModel reads later tokens too"),
        (llama.base_model, "LlamaModel is no language model"),
    ):
        with pytest.raises(InputError, match=message):
            trainer(model, blocks, tokenizer, tmp_path / "run")
    with pytest.raises(InputError, match="FSDP and DeepSpeed train only Pico models"):
        trainer(llama, blocks, tokenizer, tmp_path / "run", fsdp=True)
    assert not (tmp_path / "run").exists()


def test_readout_previous_needs_no_mask_token(tokenizer, blocks, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    for file in tmp_path.glob("*.json"):
        settings = file.read_text().replace('"mask_token"', '"unknown"').replace("[MASK]", "[OTHER]")
        file.write_text(settings)
    vocab_size = len(tokenizer)
    without = load_tokenizer(str(tmp_path), rows=vocab_size)
    assert without.mask_token is None
    gpt2 = any_model("gpt2", vocab_size)
    with pytest.raises(InputError, match="readout mask and last need a mask token"):
        trainer(gpt2, blocks, without, tmp_path / "run")
    trainer(gpt2, blocks, without, tmp_path / "run", max_steps=1, readout="previous", hybrid_ratio=1.0).train()
    assert "query_loss" in logs(tmp_path / "run")[0]
    assert load_tokenizer(str(tmp_path), rows=vocab_size + 1).mask_token_id == vocab_size
