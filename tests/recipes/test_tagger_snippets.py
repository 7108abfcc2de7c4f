"""What the model card and the pages tell users to type finds what `predict` finds, with the score on the card."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from published_run import REPOSITORY, settings

from pico_maml import PicoConfig, PicoForCausalLM
from pico_maml.recipes import predict
from pico_maml.recipes.finetune import command as finetune
from pico_maml.recipes.publish.queue import PublishQueue
from pico_maml.recipes.publish.revision import revision_folder
from pico_maml.trainers import load_treebank
from pico_maml.trainers.corpus import train_tokenizer
from pico_maml.trainers.ner.alignment import gold_tags
from pico_maml.trainers.ner.iob2 import to_entities

ROOT = Path(__file__).parents[2]
SNIPPET = re.compile(r"^```python\n((?:(?!^```).)*^tagger = pipeline\((?:(?!^```).)*)^```$", re.MULTILINE | re.DOTALL)
# Runs each snippet in a fresh process, and its tagger on texts.
FRESH = """
import json, sys
snippets, texts = json.loads(sys.stdin.read())
found = []
for i, code in enumerate(snippets):
    exec(code)
    found.append([[(e["start"], e["end"], e["entity_group"]) for e in tagger(text)] for text in texts])
    tagger.save_pretrained(f"again-{i}")
    again = pipeline("token-classification", f"again-{i}", trust_remote_code=True)
    assert again(texts[0]) == tagger(texts[0])
print(json.dumps({"package": "pico_maml" in sys.modules, "found": found}))
"""
# Which sub-word is labelled, how tags are decoded, and whether a space stands before each word.
KINDS = [("first", "argmax", "true"), ("last", "iob2", "true"), ("last", "argmax", "false")]


def fine_tuned(folder: Path, kind: tuple[str, str, str]) -> float:
    """Fine-tune a tagger on the sample in a folder; returns the test F1 that stands on its card."""
    rows = load_treebank("sample")["train"]["tokens"]
    tokenizer = train_tokenizer([" ".join(row) for row in rows], 400)
    torch.manual_seed(0)
    shape = {"d_model": 64, "n_layers": 2, "attention_n_heads": 4, "attention_n_kv_heads": 2}
    config = PicoConfig(vocab_size=len(tokenizer), activation_hidden_dim=128, max_seq_len=128, **shape)
    PicoForCausalLM(config).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    subword, decoding, space = kind
    options = ["--labelled_subword", subword, "--tag_decoding", decoding, "--space_before_words", space]
    training = (
        "--learning_rate 3e-3 --num_train_epochs 6 --per_device_train_batch_size 8 --use_cpu --disable_tqdm true"
    )
    model = ["--model", str(folder / "base"), "--treebank", "sample", "--output_dir", str(folder / "ner")]
    return finetune.main([*model, *options, *training.split()])["scores"]["test"]["f1"]


@pytest.fixture(scope="module")
def sample():
    """Texts of the sample's test set, and the entities of each as (start, end, label)."""
    rows = load_treebank("sample")["test"]
    texts, gold = [], []
    for words, tags in zip(rows["tokens"], gold_tags(rows), strict=True):
        texts.append(" ".join(words))
        starts = [len(" ".join([*words[:i], ""])) for i in range(len(words))]
        ends = [start + len(word) for start, word in zip(starts, words, strict=True)]
        gold.append([(starts[e.start], ends[e.end - 1], e.label) for e in to_entities(tags)])
    return texts, gold


def f1(found, gold):
    pairs = [({(i, *e) for i, row in enumerate(rows) for e in row}) for rows in (found, gold)]
    return 2 * len(pairs[0] & pairs[1]) / sum(map(len, pairs))


def run_snippets(snippets, texts, tmp_path):
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "PYTHONPATH": str(ROOT.parent)}
    done = subprocess.run(
        [sys.executable, "-c", FRESH],
        input=json.dumps([snippets, texts]),
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_snippets_of_the_card_and_of_the_manual_have_the_score_of_predict(sample, tmp_path):
    texts, gold = sample
    (tmp_path / "in.txt").write_text("\n".join(texts))
    snippets, scores = [], []
    for i, kind in enumerate(KINDS):
        folder = tmp_path / str(i) / "ner"
        score = fine_tuned(folder.parent, kind)
        output = tmp_path / f"{i}.jsonl"
        predict.main(["--model", str(folder), "--input_file", str(tmp_path / "in.txt"), "--output_file", str(output)])
        lines = [json.loads(line)["entities"] for line in output.read_text().splitlines()]
        of_predict = f1([[(e["start"], e["end"], e["label"]) for e in row] for row in lines], gold)
        assert score > 0.4
        assert of_predict == pytest.approx(score, abs=0.01)

        (snippet,) = SNIPPET.findall((ROOT / "docs" / "load.md").read_text())
        names: dict = {}
        exec(snippet.replace("runs/demo/ner", str(folder)), names)
        found = [[(e["start"], e["end"], e["entity_group"]) for e in names["tagger"](text)] for text in texts]
        assert f1(found, gold) == pytest.approx(score, abs=0.01)

        queue = PublishQueue(folder)
        queue.freeze(folder, 1, final=True)
        published = revision_folder(queue.waiting()[0], settings())
        card = (published / "README.md").read_text()
        assert f"| test | {score:.3f} |" in card
        (snippet,) = SNIPPET.findall(card)
        snippets.append(snippet.replace(REPOSITORY, str(published)))
        scores.append(score)
    result = run_snippets(snippets, texts, tmp_path)
    assert not result["package"], "the published folder needs nothing but transformers"
    assert [f1(found, gold) for found in result["found"]] == pytest.approx(scores, abs=0.01)


def test_no_page_tells_to_use_the_pipeline_that_groups_all_subwords():
    """Every page with a tagger is scored above, or types the same line."""
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("docs/*.ipynb"),
        *ROOT.glob("recipes/**/*.jinja"),
    ]
    lines = [
        line
        for page in pages
        for line in page.read_text().splitlines()
        if 'pipeline("token-classification"' in line.replace("\\", "")
    ]
    assert lines
    assert all("trust_remote_code=True" in line for line in lines), lines
    assert not [page for page in pages if 'aggregation_strategy="simple"' in page.read_text().replace("\\", "")]
