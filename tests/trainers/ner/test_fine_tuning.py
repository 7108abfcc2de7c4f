import pytest
import torch
from datasets import DatasetDict

from pico_maml import PicoForTokenClassification
from pico_maml.trainers import InputError
from pico_maml.trainers.ner import NERConfig, fine_tune, label_names, load_treebank


@pytest.fixture
def classifier(config):
    config.max_seq_len = 128
    for name, value in label_names().items():
        setattr(config, name, value)
    torch.manual_seed(0)
    return PicoForTokenClassification(config)


@pytest.fixture
def treebank(tmp_path):
    """Words in capitals are people; anyone can learn that."""
    rows = [f"ab\tO\nCD\tB-PER\n{'ef' if i % 2 else 'gh'}\tO\n" for i in range(60)]
    path = tmp_path / "capitals.iob2"
    path.write_text("\n".join(rows))
    return load_treebank(str(path))


def arguments(tmp_path, **changes) -> NERConfig:
    options = {"learning_rate": 1e-2, "num_train_epochs": 4, "disable_tqdm": True, "use_cpu": True} | changes
    return NERConfig(output_dir=str(tmp_path / "out"), **options)


def test_full_fine_tuning_learns_and_keeps_the_best_epoch(classifier, tokenizer, treebank, tmp_path):
    results = fine_tune(classifier, tokenizer, treebank, arguments(tmp_path))
    assert results["scores"]["test"]["f1"] == 1.0
    assert results["scores"]["validation"]["support"] == 6
    assert results["truncated_words"] == {"train": 0, "validation": 0, "test": 0}


def test_head_only_leaves_the_decoder_as_it_was(classifier, tokenizer, treebank, tmp_path):
    before = {name: p.clone() for name, p in classifier.named_parameters()}
    fine_tune(classifier, tokenizer, treebank, arguments(tmp_path, mode="head", num_train_epochs=1))
    for name, p in classifier.named_parameters():
        assert torch.equal(p, before[name]) is name.startswith("pico_decoder"), name


def test_early_stopping(classifier, tokenizer, treebank, tmp_path):
    args = arguments(tmp_path, num_train_epochs=10, early_stopping_patience=1, learning_rate=0.0)
    assert fine_tune(classifier, tokenizer, treebank, args)["epochs"] == 2


def test_accumulated_batches_train_like_one(classifier, tokenizer, treebank, tmp_path):
    start = {name: p.clone() for name, p in classifier.state_dict().items()}
    ends = []
    for batch, accumulation in ((16, 1), (4, 4)):
        classifier.load_state_dict(start)
        classifier.dropout.p = 0.0
        args = arguments(
            tmp_path / str(batch),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulation,
            max_steps=3,
            optim="sgd",
        )
        fine_tune(classifier, tokenizer, DatasetDict(train=treebank["train"]), args)
        ends.append({name: p.clone() for name, p in classifier.named_parameters()})
    for name in ends[0]:
        torch.testing.assert_close(ends[0][name], ends[1][name], atol=1e-6, rtol=1e-5)


def test_bad_arguments(classifier, tokenizer, treebank, tmp_path):
    with pytest.raises(InputError, match="mode must be one of head, full, got 'both'"):
        arguments(tmp_path, mode="both")
    with pytest.raises(InputError, match="early_stopping_patience must be at least 1"):
        arguments(tmp_path, early_stopping_patience=0)
    with pytest.raises(InputError, match="no train split, only test"):
        fine_tune(classifier, tokenizer, DatasetDict(test=treebank["test"]), arguments(tmp_path))
