"""Published checkpoints from a Hub: `revision=` for the vanilla ones, `subfolder=` for the MAML ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub_server import commit, serve

from pico_maml import PicoConfig, PicoForCausalLM
from pico_maml.recipes.export.command import export_published

VANILLA, MAML = "pico-lm/pico-decoder-tiny", "davidafrica/pico-maml-decoder-tiny"
# What config.json of a published checkpoint holds beside the model's shape.
PUBLISHED = {
    "auto_map": {
        "AutoConfig": "pico_decoder.PicoDecoderHFConfig",
        "AutoModelForCausalLM": "pico_decoder.PicoDecoderHF",
    },
    "batch_size": 1024,
    "position_emb_theta": 10000,
    "transformers_version": "4.48.3",
}


def publish(folder: Path, seed: int) -> Path:
    """A small checkpoint in the published format, with the published number of embeddings."""
    torch.manual_seed(seed)
    shape = {"d_model": 16, "n_layers": 1, "attention_n_heads": 2, "attention_n_kv_heads": 1, "max_seq_len": 64}
    model = PicoForCausalLM(PicoConfig(vocab_size=50281, activation_hidden_dim=32, **shape))
    export_published(model, folder)
    config = json.loads((folder / "config.json").read_text()) | PUBLISHED
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def repositories(tmp_path, tokenizer):
    revisions = ("main", "step-100", "runs/second")
    vanilla = {revision: publish(tmp_path / f"vanilla-{i}", i) for i, revision in enumerate(revisions)}
    for folder in vanilla.values():
        tokenizer.save_pretrained(folder)
    for step in (100, 200):
        publish(tmp_path / "maml" / "checkpoints" / f"step_{step}", step)
    return {VANILLA: vanilla, MAML: {"main": tmp_path / "maml"}}


def test_served_checkpoints_load_by_revision_and_subfolder(repositories, text, tmp_path):
    vanilla, maml = repositories[VANILLA], repositories[MAML]["main"]
    wheres = [
        (VANILLA, {}, vanilla["main"], False),
        (VANILLA, {"revision": "step-100"}, vanilla["step-100"], True),
        (VANILLA, {"revision": "runs/second"}, vanilla["runs/second"], False),
        (VANILLA, {"revision": commit(VANILLA, "step-100")}, vanilla["step-100"], False),
        (MAML, {"subfolder": "checkpoints/step_200"}, maml / "checkpoints" / "step_200", True),
    ]
    corpus = tmp_path / "books.jsonl"
    corpus.write_text("".join(json.dumps({"text": document}) + "\n" for document in text))
    plan = {
        "cases": [
            {"repository": name, "where": where, "folder": str(folder), "every_class": every}
            for name, where, folder, every in wheres
        ],
        "recipes": {
            "repository": VANILLA,
            "revision": "step-100",
            "folder": str(vanilla["step-100"]),
            "corpus": str(corpus),
        },
        "work": str(tmp_path),
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    with serve(repositories) as (address, unknown):
        environment |= {
            "HF_ENDPOINT": address,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        client = str(Path(__file__).parents[1] / "hub_client.py")
        done = subprocess.run(
            [sys.executable, client, json.dumps(plan)],
            capture_output=True,
            text=True,
            timeout=240,
            env=environment,
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "all loaded"
    assert not unknown, unknown
    assert "UNEXPECTED" not in done.stderr
    missing = {line.split("|")[0].strip() for line in done.stderr.splitlines() if "| MISSING" in line}
    assert missing == {"score.weight", "score.bias"}, "transformers reports the new classifier and nothing else"
