from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from pico_maml.recipes import demo


def test_demo_pretrains_generates_fine_tunes_and_prints_results(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--d_model=32", "--n_layers=2", "--activation_hidden_dim=64", "--disable_tqdm=true"]
    demo.main(["--max_steps=2", "--eval_episodes=1", "--eval_blocks=64", "--n_way=8", *small])
    out = capsys.readouterr().out
    assert "Done in" in out
    assert "query accuracy" in out
    assert "It writes: The function returns" in out
    assert torch.isfinite(AutoModelForCausalLM.from_pretrained("runs/demo").get_input_embeddings().weight).all()
    assert demo.free_folder(Path("runs/demo")) == Path("runs/demo-2")
