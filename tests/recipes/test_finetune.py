import json

import pytest
import torch
from transformers import pipeline

from pico_maml import PicoForTokenClassification
from pico_maml.recipes.finetune import command as finetune
from pico_maml.trainers import InputError


def test_finetune_on_the_sample_gives_a_model_for_the_pipeline(pretrained, tmp_path, capsys):
    out = tmp_path / "ner"
    options = ["--num_train_epochs=1", "--use_cpu", "--disable_tqdm=true", "--learning_rate=1e-3"]
    arguments = ["--model", str(pretrained), "--treebank", "sample", "--output_dir", str(out), *options]
    results = finetune.main(arguments)
    assert json.loads((out / "results.json").read_text()) == json.loads(json.dumps(results))
    assert results["sentences"] == {"train": 240, "validation": 80, "test": 80}
    assert {"PER", "ORG", "LOC"} == set(results["scores"]["test"]["classes"])
    assert not list(out.glob("checkpoint-*"))
    assert "test: F1" in capsys.readouterr().out
    tagger = pipeline("token-classification", str(out))
    assert {entity["entity"] for entity in tagger("Mara went to Norburg")} <= set(tagger.model.config.label2id)
    with pytest.raises(InputError, match="is not empty"):
        finetune.main(arguments)


def test_finetune_mode_head_on_files_of_universal_ner(pretrained, tmp_path):
    sentence = "ab\tB-PER\ncd\tI-PER\nef\tO\ngh\tB-LOC\n" + "ij\tO\n" * 70 + "\n"
    for split, count in (("train", 8), ("dev", 2), ("test", 3)):
        (tmp_path / f"xx_own-ud-{split}.iob2").write_text(sentence * count)
    options = ["--num_train_epochs=1", "--use_cpu", "--disable_tqdm=true", "--mode=head"]
    source = ["--treebank", "xx_own", "--uner_dir", str(tmp_path)]
    results = finetune.main(["--model", str(pretrained), *source, "--output_dir", str(tmp_path / "ner"), *options])
    assert results["sentences"] == {"train": 8, "validation": 2, "test": 3}
    assert results["scores"]["test"]["support"] == 2 * 3
    assert results["truncated_words"]["train"] > 0  # this model reads 64 tokens


def test_a_missing_model_is_an_error():
    with pytest.raises(InputError, match="no tokenizer at 'no/model'"):
        finetune.main(["--model", "no/model", "--treebank", "sample"])


def test_a_treebank_without_a_train_split_is_trained_on_nine_tenths_of_its_dev_split(pretrained, tmp_path):
    for split, count in (("dev", 20), ("test", 3)):
        (tmp_path / f"xx_own-ud-{split}.iob2").write_text("ab\tB-PER\ncd\tO\n\n" * count)
    source = [
        "--treebank",
        "xx_own",
        "--uner_dir",
        str(tmp_path),
        "--mode",
        "head",
        "--use_cpu",
        "--disable_tqdm=true",
    ]
    arguments = ["--model", str(pretrained), *source, "--output_dir", str(tmp_path / "ner")]
    with pytest.raises(InputError, match="no train split"):
        finetune.main(arguments)
    results = finetune.main([*arguments, "--split_dev", "--features", "all", "--head_solver", "lbfgs"])
    assert results["sentences"] == {"train": 18, "validation": 2, "test": 3}
    assert results["scores"]["test"]["f1"] == 1


def test_few_shot_gives_a_curve_over_draws(pretrained, tmp_path, capsys):
    options = ["--shots", "1", "5", "--draws", "2", "--few_shot_methods", "linear", "prototypes", "--use_cpu"]
    arguments = ["--model", str(pretrained), "--treebank", "sample", "--output_dir", str(tmp_path / "few"), *options]
    results = finetune.main(arguments)
    assert json.loads((tmp_path / "few" / "results.json").read_text()) == results
    assert [(row["method"], row["shots"], row["draws"]) for row in results["curve"]] == [
        ("linear", 1, 2),
        ("prototypes", 1, 2),
        ("linear", 5, 2),
        ("prototypes", 5, 2),
    ]
    assert "test, linear, K = 5: 0." in capsys.readouterr().out
    with pytest.raises(InputError, match="10000 shots"):
        finetune.main([*arguments[:-6], "--output_dir", str(tmp_path / "x"), "--shots", "10000"])
    (tmp_path / "xx_own-ud-test.iob2").write_text("ab\tB-PER\n\n")
    own = ["--treebank", "xx_own", "--uner_dir", str(tmp_path), "--shots", "1"]
    with pytest.raises(InputError, match="only test"):
        finetune.main(["--model", str(pretrained), *own, "--output_dir", str(tmp_path / "y"), "--use_cpu"])
    with pytest.raises(InputError, match="few_shot_methods"):
        finetune.main([*arguments, "--few_shot_methods", "best"])


@pytest.mark.parametrize("mode", ["head", "full"])
def test_a_checkpoint_in_half_precision_trains_like_its_copy_in_float32(model, tokenizer, tmp_path, mode):
    scores = []
    for dtype in (torch.bfloat16, torch.float32):
        folder = tmp_path / str(dtype)
        model.to(torch.bfloat16).to(dtype).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        options = (
            "--treebank sample --max_steps 5 --learning_rate 1e-2 --chosen_epoch last --use_cpu --disable_tqdm true"
        )
        output = ["--output_dir", str(folder / "ner"), "--mode", mode]
        finetune.main(["--model", str(folder), *options.split(), *output])
        scores.append(PicoForTokenClassification.from_pretrained(folder / "ner").score.weight)
    assert scores[0].dtype == torch.float32
    assert torch.equal(*scores)
