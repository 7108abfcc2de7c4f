"""Every method of the installed peft, with its defaults, on a Pico and on the LLaMA with the same weights."""

import pytest
import torch
from transformers import LlamaForCausalLM, LlamaForTokenClassification

from pico_maml import PicoConfig, PicoForCausalLM, PicoForTokenClassification
from pico_maml.modeling_pico.conversion_pico import llama_config, llama_state_dict

peft = pytest.importorskip("peft")
from pico_maml.modeling_pico.peft_pico import register_with_peft  # noqa: E402 (needs peft)

METHODS = peft.PEFT_TYPE_TO_CONFIG_MAPPING

# Options without a default; the shape below is large enough for the defaults of all others.
OPTIONS = {
    "ADALORA": {"total_step": 10},
    "ADAPTION_PROMPT": {"adapter_len": 4, "adapter_layers": 1},
    "CPT": {"cpt_token_ids": [1, 2, 3, 4], "cpt_mask": [1] * 4, "cpt_tokens_type_mask": [1, 2, 3, 4]},
    "TRAINABLE_TOKENS": {"token_indices": [1, 2]},
}
# XLORA mixes saved LoRA adapters, and looks for the decoder under the name `model`.
NOT_ON_LLAMA = {
    "CAUSAL_LM": {"XLORA"},
    "TOKEN_CLS": {
        "ADAPTION_PROMPT",
        "CPT",
        "MULTITASK_PROMPT_TUNING",
        "PROMPT_TUNING",
        "P_TUNING",
        "TRAINABLE_TOKENS",
        "XLORA",
    },
}
# LoRA adapts all matrices of a Pico, of a LLaMA only two in a layer.
OTHER_SIZE = {"LORA"}
# Their new values act on the order of a head's dimensions, which is another in LLaMA.
OTHER_ORDER = {"C3A", "CARTRIDGE", "FOURIERFT", "PREFIX_TUNING"}
# peft cannot run it once it is loaded for inference, whatever the model.
NOT_LOADED = {"ADALORA"}


@pytest.fixture(scope="module")
def config():
    shape = {"d_model": 256, "n_layers": 2, "attention_n_heads": 4, "attention_n_kv_heads": 4}
    return PicoConfig(vocab_size=300, activation_hidden_dim=256, max_seq_len=64, **shape)


def models(config, task):
    """A Pico and a LLaMA with the same logits."""
    torch.manual_seed(0)
    decoder = PicoForCausalLM(config)
    state = decoder.state_dict()
    if task == "CAUSAL_LM":
        llama = LlamaForCausalLM(llama_config(config))
        llama.load_state_dict(llama_state_dict(config, state))
        return decoder, llama
    pair = PicoForTokenClassification(config), LlamaForTokenClassification(llama_config(config))
    for model, weights in zip(pair, (state, llama_state_dict(config, state)), strict=True):
        model.load_state_dict(weights, strict=False)
        with torch.no_grad():
            model.score.weight.copy_(torch.linspace(-0.1, 0.1, model.score.weight.numel()).view_as(model.score.weight))
            model.score.bias.zero_()
    return pair


def adapt(model, method, task):
    torch.manual_seed(0)
    options = OPTIONS.get(method, {})
    if "num_virtual_tokens" in METHODS[method].__dataclass_fields__ and method != "CPT":
        options = {"num_virtual_tokens": 4}
    return peft.get_peft_model(model, METHODS[method](task_type=task, **options))


def batch(method, task):
    ids = torch.randint(3, 300, (2, 12), generator=torch.Generator().manual_seed(0))
    more = {"task_ids": torch.zeros(2, dtype=torch.long)} if method in ("MULTITASK_PROMPT_TUNING", "POLY") else {}
    labels = ids if task == "CAUSAL_LM" else ids % 2
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels, **more}


def loss_and_trained(model, inputs):
    """The loss in evaluation, and the number of weights that training changes."""
    loss = model.eval()(**inputs).loss.item()
    model.train()(**inputs).loss.backward()
    return loss, sum(p.grad.numel() for p in model.parameters() if p.requires_grad and p.grad is not None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", ["CAUSAL_LM", "TOKEN_CLS"])
@pytest.mark.parametrize("method", [kind.name for kind in METHODS])
def test_what_works_on_a_llama_works_on_a_pico(config, method, task, tmp_path):
    pico, llama = models(config, task)
    inputs = batch(method, task)
    if method in NOT_ON_LLAMA[task]:
        with pytest.raises((AttributeError, RuntimeError, TypeError, ValueError)):
            loss_and_trained(adapt(llama, method, task), inputs)
        return
    adapted = adapt(pico, method, task)
    loss, trained = loss_and_trained(adapted, inputs)
    expected_loss, expected_trained = loss_and_trained(adapt(llama, method, task), inputs)
    assert trained > expected_trained > 0 if method in OTHER_SIZE else trained == expected_trained > 0
    assert loss == pytest.approx(expected_loss, abs=0.1 if method in OTHER_ORDER else 1e-3)
    with torch.no_grad():
        for p in adapted.parameters():
            if p.requires_grad and p.grad is not None:
                p.sub_(p.grad / (p.grad.norm() + 1e-8), alpha=0.1)
    adapted.eval()
    logits = adapted(**inputs).logits
    if task == "CAUSAL_LM":
        prompt = {name: value for name, value in inputs.items() if name != "labels"}
        assert adapted.generate(**prompt, max_new_tokens=3, min_new_tokens=3, do_sample=False).shape == (2, 15)
    if method not in NOT_LOADED:
        adapted.save_pretrained(tmp_path)
        again = peft.PeftModel.from_pretrained(models(config, task)[0], tmp_path).eval()
        torch.testing.assert_close(again(**inputs).logits, logits, atol=1e-4, rtol=1e-4)


def test_adaption_prompts_are_attended_to_as_in_a_llama(config):
    """Their gate is closed at first, so the losses above say nothing of the queries."""
    logits = []
    for model in models(config, "CAUSAL_LM"):
        adapted = adapt(model, "ADAPTION_PROMPT", "CAUSAL_LM").eval()
        inputs = batch("ADAPTION_PROMPT", "CAUSAL_LM")
        closed = adapted(**inputs).logits
        for name, parameter in adapted.named_parameters():
            if name.endswith("adaption_gate"):
                torch.nn.init.ones_(parameter)
        logits.append(adapted(**inputs).logits)
        assert (logits[-1] - closed).abs().max() > 0.01
    torch.testing.assert_close(*logits, atol=1e-4, rtol=1e-4)


def test_tables_of_a_later_peft_that_a_pico_does_not_fit_are_left_alone(monkeypatch):
    tables = {"KNOWN": ["q_proj", "down_proj"], "UNKNOWN": ["q_proj", "router"], "TEXT": "all-linear"}
    for name, modules in tables.items():
        table = {"llama": modules}
        monkeypatch.setattr(peft.utils.constants, f"TRANSFORMERS_MODELS_TO_{name}_MAPPING", table, raising=False)
        register_with_peft()
        assert table.get("pico_decoder") == (["q_proj", "w_2"] if name == "KNOWN" else None)
