import json
from pathlib import Path

import pytest
import torch
from transformers import pipeline

from pico_maml import PicoConfig, PicoForCausalLM
from pico_maml.recipes import predict
from pico_maml.recipes.finetune import command as finetune
from pico_maml.trainers import InputError
from pico_maml.trainers.ner import read_iob2


@pytest.fixture(scope="module")
def tagger(tokenizer, tmp_path_factory):
    """A model fine-tuned by the recipe: "cd gh" is a person, in words of one token."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("predict")
    shape = {"d_model": 32, "n_layers": 2, "attention_n_heads": 4, "attention_n_kv_heads": 2}
    config = PicoConfig(vocab_size=len(tokenizer), activation_hidden_dim=64, max_seq_len=64, **shape)
    PicoForCausalLM(config).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    rows = [f"{'ab	O' + chr(10)}" * (i % 4) + "cd\tB-PER\ngh\tI-PER\nef\tO\n,\tO\n" for i in range(60)]
    (folder / "capitals.iob2").write_text("\n".join(rows))
    options = "--learning_rate 1e-2 --num_train_epochs 8 --per_device_train_batch_size 4 --disable_tqdm true --use_cpu"
    data = ["--treebank", str(folder / "capitals.iob2"), "--evaluate_on", str(folder / "capitals.iob2")]
    output = ["--output_dir", str(folder / "tuned")]
    results = finetune.main(["--model", str(folder / "base"), *data, *options.split(), *output])
    assert results["scores"]["test"]["f1"] == 1.0
    assert results["scores"][str(folder / "capitals.iob2")]["f1"] == 1.0
    assert results["baselines"] == {"majority": 0.0, "gazetteer": 1.0}
    assert results["data"]["train"]["PER"] == 48
    return folder / "tuned"


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text("ab cd gh ef\n\ncd gh ef, ab\n")
    return ["--input_file", "in.txt"]


def test_json_lines_have_character_offsets(tagger, source, capsys):
    predict.main(["--model", str(tagger), *source, "--output_file", "out/a.jsonl"])
    first, empty, last = [json.loads(line) for line in Path("out/a.jsonl").read_text().splitlines()]
    (entity,) = first["entities"]
    assert (first["text"], empty) == ("ab cd gh ef", {"text": "", "entities": []})
    assert {name: entity[name] for name in ("start", "end", "text", "label")} == {
        "start": 3,
        "end": 8,
        "text": "cd gh",
        "label": "PER",
    }
    assert 0 < entity["score"] <= 1
    assert last["entities"][0]["text"] == "cd gh"
    assert "2 entities in 2 sentences" in capsys.readouterr().out


def test_iob2_output_can_be_read_again(tagger, source):
    predict.main(["--model", str(tagger), *source, "--output_file", "a.iob2"])
    first, last = read_iob2(Path("a.iob2"))
    assert (first.tokens, first.tags) == (["ab", "cd", "gh", "ef"], ["O", "B-PER", "I-PER", "O"])
    assert last.tokens == ["cd", "gh", "ef", ",", "ab"]
    predict.main(["--model", str(tagger), *source, "--output_file", "b.iob2", "--pretokenized"])
    assert read_iob2(Path("b.iob2"))[1].tokens == ["cd", "gh", "ef,", "ab"]


def test_the_pipeline_finds_the_same_entity(tagger):
    find = pipeline("token-classification", str(tagger), aggregation_strategy="simple")
    (entity,) = find(" ab cd gh ef")
    assert (entity["entity_group"], entity["word"].strip()) == ("PER", "cd gh")


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfAnn lives\r\nhere\r\n")
    assert predict.input_lines(tmp_path / "a.txt") == ["Ann lives", "here"]


def test_wrong_inputs_are_errors(tagger, source):
    model = ["--model", str(tagger)]
    with pytest.raises(InputError, match=r"must end with .iob2 or .jsonl, got 'a.txt'"):
        predict.main([*model, *source, "--output_file", "a.txt"])
    with pytest.raises(InputError, match=r"no file missing.txt"):
        predict.main([*model, "--input_file", "missing.txt", "--output_file", "a.iob2"])
    Path("empty.txt").write_text(" \n")
    with pytest.raises(InputError, match=r"empty.txt: no text in it"):
        predict.main([*model, "--input_file", "empty.txt", "--output_file", "a.iob2"])
    Path("latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="not UTF-8 at byte 4"):
        predict.main([*model, "--input_file", "latin.txt", "--output_file", "a.iob2"])
    with pytest.raises(InputError, match="the model knows the labels LABEL_0, LABEL_1"):
        predict.main(["--model", str(tagger.parent / "base"), *source, "--output_file", "a.iob2"])
    Path("a.iob2").touch()
    with pytest.raises(InputError, match=r"a.iob2 exists"):
        predict.main([*model, *source, "--output_file", "a.iob2"])
