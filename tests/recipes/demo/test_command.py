from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from pico_maml.recipes.demo import command

SMALL = [
    *("--d_model=32", "--n_layers=2", "--activation_hidden_dim=64", "--disable_tqdm=true"),
    *("--max_steps=2", "--eval_episodes=1", "--eval_blocks=64", "--n_way=8"),
]


def test_demo_pretrains_generates_fine_tunes_and_prints_results(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command.main(SMALL)
    out = capsys.readouterr().out
    assert "Done in" in out
    assert "query accuracy" in out
    assert "for another activation_hidden_dim, d_model, eval_blocks, max_steps, n_layers: --hybrid_ratio 0" in out
    assert "It writes: The function returns" in out
    assert torch.isfinite(AutoModelForCausalLM.from_pretrained("runs/demo").get_input_embeddings().weight).all()
    assert command.free_folder(Path("runs/demo")) == Path("runs/demo-2")
