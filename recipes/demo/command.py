"""Try everything in a few minutes: pretrain a small model, generate text, fine-tune it for NER.

    python -m pico_maml.recipes.demo                     # next-token prediction and episodes
    python -m pico_maml.recipes.demo --hybrid_ratio 0    # the same without episodes

Takes the arguments of `pretrain`; they override those of the shipped recipe `demo`.
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ...trainers.runs.files import METRICS_FILE, RESULTS_FILE, free_folder
from ..arguments.parser import parse
from ..finetune import command as finetune
from ..pretrain import command as pretrain
from ..pretrain.arguments import TYPES
from .baseline import beside
from .outcome import Outcome

PROMPT = "The function returns"


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    started = time.perf_counter()
    outcome = train(sys.argv[1:] if argv is None else argv)
    print(summary(outcome, time.perf_counter() - started))


def train(argv: list[str]) -> Outcome:
    """Pretrain, generate and fine-tune."""
    arguments = ["--config", "demo", "--output_dir", str(free_folder(Path("runs/demo"))), *argv]
    folder = Path(parse(TYPES, arguments, prog="demo")[-1].output_dir)
    pretrained = pretrain.main(arguments)
    text = generate(folder)
    options = "--treebank sample --learning_rate 1e-3 --num_train_epochs 5 --mode full"
    ner = finetune.main(["--model", str(folder), "--output_dir", str(folder / "ner"), *options.split()])
    return Outcome(folder, pretrained, text, ner["scores"]["test"])


def generate(folder: Path) -> str:
    """One line of text sampled from a saved model."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    inputs = tokenizer(PROMPT, return_tensors="pt")
    ids = model.generate(**inputs, max_new_tokens=24, do_sample=True, temperature=0.7, top_k=40)
    return " ".join(tokenizer.decode(ids[0], skip_special_tokens=True).split())


def summary(outcome: Outcome, seconds: float) -> str:
    """What the model learned, and which files hold it."""
    pretrained, folder = outcome.pretrained, outcome.folder
    before = pretrained["held_out"][0]["eval_perplexity"]
    lines = [
        "",
        f"Done in {seconds:.0f} s: {pretrained['steps']} steps, {pretrained['tokens_seen']:,} tokens, "
        f"{pretrained['episodes']} episodes ({pretrained['episodes_skipped']} skipped).",
        "",
        "On held-out text, before and after training",
        f"  perplexity             {before:>8,.1f}  ->  {outcome.perplexity:,.1f}",
        *adaptation(pretrained),
        f"NER on invented sentences, test F1 {outcome.ner['f1']:.2f} ({outcome.ner['support']} entities)",
        *beside(outcome),
        "",
        f"It writes: {outcome.text}",
        "",
        f"  {folder}    the model: AutoModelForCausalLM.from_pretrained({str(folder)!r}) after `import pico_maml`",
        f"  {folder / METRICS_FILE}    every metric, by step",
        f"  {folder / RESULTS_FILE}    perplexity and query accuracy, as above",
        f"  {outcome.ner_folder}    the NER model and its scores",
    ]
    return "\n".join(lines)


def adaptation(pretrained: dict[str, Any]) -> list[str]:
    """Lines about episodes of held-out words, if they were measured."""
    adapted, any_documents = pretrained["adaptation"], pretrained["adaptation_any_documents"]
    if adapted is None:
        return []
    kind = "trained" if adapted["trained"] else "fresh"
    curve = adapted[kind]
    return [
        "On episodes of held-out words, before and after the inner loop",
        f"  query accuracy         {curve[0]['mean']:>8.1%}  ->  {curve[-1]['mean']:.1%} ({kind} head)",
        f"    for comparison: chance {adapted['chance']:.1%}, fresh head {adapted['fresh'][-1]['mean']:.1%}, "
        f"class prototypes {adapted['prototypes']['mean']:.1%}",
        f"    {kind} head with support from any document, the query's own too: {any_documents[kind][-1]['mean']:.1%}",
    ]
