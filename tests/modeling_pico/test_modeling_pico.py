import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    Trainer,
    TrainingArguments,
    pipeline,
)

from pico_maml import PicoConfig, PicoForCausalLM, PicoForTokenClassification, PicoModel
from pico_maml.modeling_pico.loss_pico import next_token_loss


@pytest.fixture
def ids(config):
    return torch.randint(config.vocab_size, (3, 20), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("k", [0, 1, 2])
def test_published_format_gives_the_expected_logits(shared, k):
    model = AutoModelForCausalLM.from_pretrained(shared / "parity")
    expected = load_file(shared / "parity" / "expected.safetensors")
    with torch.no_grad():
        logits = model(expected[f"input_ids_{k}"]).logits
    assert (logits - expected[f"logits_{k}"]).abs().max() < 1e-5


def test_published_tensor_names_load_without_missing_or_unexpected_keys(model, tmp_path):
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    # In the published checkpoints the LM head is part of the decoder.
    tensors["pico_decoder.de_embedding_proj.weight"] = tensors.pop("de_embedding_proj.weight")
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for auto, kind in ((AutoModelForCausalLM, PicoForCausalLM), (AutoModel, PicoModel)):
        loaded, info = auto.from_pretrained(tmp_path, output_loading_info=True)
        assert type(loaded) is kind
        assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True))


def test_position_i_sees_nothing_to_its_right(model, ids):
    model.eval()
    changed = ids.clone()
    changed[:, 10:] = 0
    with torch.no_grad():
        assert torch.equal(model(ids).logits[:, :10], model(changed).logits[:, :10])


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_cache_one_token_at_a_time_equals_the_full_forward(model, ids, attention):
    model.set_attn_implementation(attention)
    model.eval()
    with torch.no_grad():
        full = model(ids).logits
        cache, steps = None, []
        for i in range(ids.shape[1]):
            out = model(ids[:, i : i + 1], past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            steps.append(out.logits)
    torch.testing.assert_close(torch.cat(steps, 1), full, atol=1e-5, rtol=1e-5)


def test_left_padding_changes_nothing(model, ids):
    model.eval()
    model.generation_config.pad_token_id = 1
    plain = model.generate(ids, max_new_tokens=5, do_sample=False)
    padded = F.pad(ids, (4, 0), value=1)
    mask = F.pad(torch.ones_like(ids), (4, 0))
    left = model.generate(padded, attention_mask=mask, max_new_tokens=5, do_sample=False)
    assert torch.equal(left[:, 4:], plain)


def test_training_with_labels_never_builds_the_logits(model, ids):
    model.train()
    assert model(ids, labels=ids).logits is None
    assert model(ids, labels=ids, skip_logits=False).logits.shape == (*ids.shape, model.config.vocab_size)
    assert model(ids).logits is not None
    model.eval()
    assert model(ids, labels=ids).logits is not None
    assert model(ids, labels=ids, skip_logits=True).logits is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("keep", [0, 1, torch.arange(11, -1, -1)])
def test_the_loss_beside_logits_is_that_without(model, ids, keep, learns, dtype, monkeypatch):
    monkeypatch.setattr("pico_maml.modeling_pico.loss_pico.CPU_LOSS_ROWS", 5)  # several chunks
    ids, model = ids[:, :12], model.eval().to(dtype)
    labels = ids.masked_fill(ids % 5 == 0, -100)
    with torch.set_grad_enabled(learns):
        for divisor in (None, 7):
            options = {"labels": labels, "num_items_in_batch": divisor}
            alone, beside = model(ids, **options, skip_logits=True), model(ids, **options, logits_to_keep=keep)
            assert alone.logits is None
            assert beside.logits is not None
            torch.testing.assert_close(beside.loss, alone.loss, rtol=1e-5 if dtype is torch.float32 else 5e-3, atol=0)


def test_training_on_embeddings_returns_the_logits_which_peft_may_read(model, ids):
    embeddings = model.get_input_embeddings()(ids)
    assert model.train()(inputs_embeds=embeddings, labels=ids).logits.shape == (*ids.shape, model.config.vocab_size)


def test_loss_and_gradient_are_those_of_plain_cross_entropy(model, ids):
    labels = ids.clone()
    labels[0, 5:9] = -100
    model(ids, labels=labels).loss.backward()
    fused = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    logits = model(ids).logits
    plain = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    plain.backward()
    torch.testing.assert_close(model(ids, labels=labels).loss, plain)
    for got, p in zip(fused, model.parameters(), strict=True):
        torch.testing.assert_close(got, p.grad, atol=1e-6, rtol=1e-4)


def test_shifted_labels_give_the_same_loss_and_the_item_count_divides_it(model, ids):
    by_labels = model(ids, labels=ids).loss
    shifted = F.pad(ids, (0, 1), value=-100)[:, 1:]
    torch.testing.assert_close(model(ids, shift_labels=shifted).loss, by_labels)
    count = ids[:, 1:].numel()
    halved = model(ids, labels=ids, num_items_in_batch=torch.tensor(2 * count)).loss
    torch.testing.assert_close(halved, by_labels / 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_loss_under_autocast_and_in_half_precision_stays_near_fp32(model, ids, dtype):
    # Sharp logits, because those of a new model give nearly the same loss whatever the labels are.
    model.de_embedding_proj.weight.data.mul_(30)
    exact = model(ids, labels=ids).loss
    assert exact > 8
    with torch.autocast("cpu", dtype=dtype):
        mixed = model(ids, labels=ids).loss
    mixed.backward()
    assert mixed.dtype is torch.float32
    torch.testing.assert_close(mixed, exact, atol=0.02, rtol=0)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    half = PicoForCausalLM(model.config).to(dtype)
    half.load_state_dict(model.state_dict())
    torch.testing.assert_close(half(ids, labels=ids).loss, exact, atol=0.02, rtol=0)


def test_label_smoothing_of_transformers_trainer_is_that_of_the_next_token(model, ids, tmp_path):
    args = TrainingArguments(tmp_path, label_smoothing_factor=0.1, report_to="none", use_cpu=True)
    loss = Trainer(model, args).compute_loss(model.eval(), {"input_ids": ids, "labels": ids})
    logits = model(ids).logits[:, :-1].flatten(0, 1)
    torch.testing.assert_close(loss, F.cross_entropy(logits, ids[:, 1:].flatten(), label_smoothing=0.1))


def test_no_label_gives_zero_loss_and_not_nan(model):
    loss = next_token_loss(torch.randn(1, 4, 32), model.de_embedding_proj, torch.full((1, 4), -100))
    assert loss.item() == 0.0


def test_gradient_checkpointing_gives_the_same_gradients(model, ids):
    model(ids, labels=ids).loss.backward()
    plain = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model.activation_checkpointing_enable()
    model.train()
    passes = []
    model.pico_decoder.layers[0].attention.register_forward_hook(lambda *_: passes.append(1))
    model(ids, labels=ids).loss.backward()
    assert len(passes) == 2, "the backward pass computes the layer again"
    for got, p in zip(plain, model.parameters(), strict=True):
        torch.testing.assert_close(got, p.grad)


def test_models_of_different_shapes_live_in_one_process(model, ids):
    before = model(ids).logits
    shape = {"vocab_size": 50, "d_model": 48, "n_layers": 1, "attention_n_heads": 2, "attention_n_kv_heads": 1}
    PicoForCausalLM(PicoConfig(**shape, position_emb_theta=500))(torch.arange(40)[None])
    assert torch.equal(model(ids).logits, before)


def test_ids_or_embeddings_give_the_same_logits_and_both_are_an_error(model, ids):
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        model(input_ids=ids, inputs_embeds=model.get_input_embeddings()(ids))
    embeds = model.get_input_embeddings()(ids)
    torch.testing.assert_close(model(inputs_embeds=embeds).logits, model(ids).logits)


@pytest.mark.parametrize("parts", [1, 4])
def test_token_classification_loss_is_exact_when_a_batch_is_accumulated(config, ids, parts):
    config.num_labels, config.classifier_dropout = 7, 0.0
    torch.manual_seed(0)
    model = PicoForTokenClassification(config)
    labels = ids[:2].repeat(2, 1) % 7
    labels[0, 3:] = -100
    batch = ids[:2].repeat(2, 1)
    count = labels.ne(-100).sum()
    loss = sum(
        model(part, labels=targets, num_items_in_batch=count).loss
        for part, targets in zip(batch.chunk(parts), labels.chunk(parts), strict=True)
    )
    logits = model(batch).logits
    torch.testing.assert_close(loss, F.cross_entropy(logits.flatten(0, 1), labels.flatten()))


def test_text_generation_and_token_classification_pipelines_run(model, tokenizer, tmp_path):
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    out = pipeline("text-generation", str(tmp_path), max_new_tokens=3, do_sample=False)("ab cd")
    assert out[0]["generated_text"].startswith("ab cd")
    classifier = AutoModelForTokenClassification.from_pretrained(tmp_path, num_labels=3)
    assert isinstance(classifier, PicoForTokenClassification)
    assert len(pipeline("token-classification", classifier, tokenizer=tokenizer)("ab cd")) > 0


@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
def test_pipeline_returns_entities_with_their_place_in_the_text(config, tokenizer, strategy):
    config.id2label = {0: "O", 1: "B-PER", 2: "I-PER"}
    config.label2id = {label: i for i, label in config.id2label.items()}
    tagger = PicoForTokenClassification(config)
    text = "ab ef gh cd"
    ids = tokenizer(text)["input_ids"]
    person = [tokenizer.convert_tokens_to_ids(word) for word in ("Ġef", "Ġgh")]
    assert set(person) <= set(ids)
    # A tagger whose states are the one-hot token ids: it tags the first person token B-PER, the second I-PER.
    states = F.one_hot(torch.tensor([ids]), config.vocab_size).float()
    tagger.dropout.register_forward_hook(lambda *_: states)
    tagger.score = torch.nn.Linear(config.vocab_size, 3)
    torch.nn.init.zeros_(tagger.score.weight)
    tagger.score.bias.data = torch.tensor([1.0, 0.0, 0.0])
    tagger.score.weight.data[1, person[0]] = tagger.score.weight.data[2, person[1]] = 9.0
    (entity,) = pipeline("token-classification", tagger, tokenizer=tokenizer, aggregation_strategy=strategy)(text)
    assert (entity["entity_group"], entity["word"].strip()) == ("PER", "ef gh")
    assert text[entity["start"] : entity["end"]] == "ef gh"
