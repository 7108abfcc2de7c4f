"""Checkpoints without a tokenizer, such as the published ones, work in every command with --tokenizer."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer, LlamaForCausalLM

from pico_maml.recipes import predict
from pico_maml.recipes.export import command as export
from pico_maml.recipes.finetune import command as finetune
from pico_maml.trainers import InputError


@pytest.fixture
def folders(model, tokenizer, tmp_path, monkeypatch):
    """A checkpoint without a tokenizer in `model`, and a tokenizer in `own`."""
    monkeypatch.chdir(tmp_path)
    model.save_pretrained("model")
    tokenizer.save_pretrained("own")


@pytest.mark.parametrize("kind", ["hub", "llama", "gguf", "published"])
def test_export_takes_a_tokenizer_and_writes_it_beside_the_model(folders, kind):
    arguments = ["--model", "model", "--format", kind, "--output_dir", "out"]
    with pytest.raises(InputError, match="no tokenizer at 'model': set tokenizer to"):
        export.main(arguments)
    assert not Path("out").exists()
    export.main([*arguments, "--tokenizer", "own"])
    assert len(AutoTokenizer.from_pretrained("out")) == 400
    assert Path("out/model.gguf").exists() == (kind == "gguf")
    if kind == "llama":
        LlamaForCausalLM.from_pretrained("out")


def test_finetune_and_predict_take_a_tokenizer(folders):
    training = "--treebank sample --max_steps 1 --chosen_epoch last --use_cpu --disable_tqdm true --output_dir ner"
    arguments = ["--model", "model", *training.split()]
    with pytest.raises(InputError, match="no tokenizer at 'model': set tokenizer to"):
        finetune.main(arguments)
    finetune.main([*arguments, "--tokenizer", "own"])
    assert len(AutoTokenizer.from_pretrained("ner")) == 400
    for path in Path("ner").glob("*token*"):
        path.unlink()
    Path("in.txt").write_text("Mara went to Norburg .\n")
    arguments = ["--model", "ner", "--input_file", "in.txt", "--output_file", "out.iob2"]
    with pytest.raises(InputError, match="no tokenizer at 'ner': set tokenizer to"):
        predict.main(arguments)
    (tagged,) = predict.main([*arguments, "--tokenizer", "own"])
    assert tagged.tokens == ["Mara", "went", "to", "Norburg", "."]
