import pytest
import torch

from pico_maml import PicoForCausalLM, PicoForTokenClassification

peft = pytest.importorskip("peft")


def test_adapters_sit_on_attention_and_swiglu_and_train_alone(model, config, tmp_path):
    model.save_pretrained(tmp_path / "base")
    ids = torch.randint(3, config.vocab_size, (4, 16), generator=torch.Generator().manual_seed(1))
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, task_type="CAUSAL_LM"))
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 7 * config.n_layers
    assert all(".attention." in name or ".swiglu." in name for name in trained)
    optimizer = torch.optim.AdamW((p for p in adapted.parameters() if p.requires_grad), lr=1e-2)
    losses = []
    for _ in range(20):
        loss = adapted(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    adapted.eval()
    expected = adapted(ids).logits
    adapted.save_pretrained(tmp_path / "adapter")
    again = peft.PeftModel.from_pretrained(PicoForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
    torch.testing.assert_close(again.eval()(ids).logits, expected)
    merged = again.merge_and_unload()
    torch.testing.assert_close(merged(ids).logits, expected, atol=1e-5, rtol=1e-4)


def test_adapters_of_a_token_classifier_keep_its_new_head(config, tmp_path):
    config.num_labels = 3
    base = PicoForTokenClassification(config)
    base.save_pretrained(tmp_path / "base")
    ids = torch.randint(3, config.vocab_size, (4, 16), generator=torch.Generator().manual_seed(1))
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=4, task_type="TOKEN_CLS"))
    optimizer = torch.optim.AdamW((p for p in adapted.parameters() if p.requires_grad), lr=1e-2)
    for _ in range(5):
        adapted(input_ids=ids, labels=ids % 3).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    expected = adapted.eval()(ids).logits
    adapted.save_pretrained(tmp_path / "adapter")
    again = PicoForTokenClassification.from_pretrained(tmp_path / "base")
    assert not torch.allclose(again(ids).logits, expected)
    again = peft.PeftModel.from_pretrained(again, tmp_path / "adapter").eval()
    torch.testing.assert_close(again(ids).logits, expected)
