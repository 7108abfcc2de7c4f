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

from ..trainers.runs.files import METRICS_FILE, RESULTS_FILE, free_folder
from .arguments.parser import parse, run
from .finetune import command as finetune
from .pretrain import command as pretrain
from .pretrain.arguments import TYPES

PROMPT = "The function returns"


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    started = time.perf_counter()
    argv = sys.argv[1:] if argv is None else argv
    arguments = ["--config", "demo", "--output_dir", str(free_folder(Path("runs/demo"))), *argv]
    output_dir = Path(parse(TYPES, arguments, prog="demo")[-1].output_dir)
    pretrained = pretrain.main(arguments)
    text = generate(output_dir)
    ner_dir = output_dir / "ner"
    options = "--treebank sample --learning_rate 1e-3 --num_train_epochs 5 --mode full"
    ner = finetune.main(["--model", str(output_dir), "--output_dir", str(ner_dir), *options.split()])
    print(summary(output_dir, ner_dir, pretrained, text, ner, time.perf_counter() - started))


def generate(folder: Path) -> str:
    """One line of text sampled from a saved model."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    inputs = tokenizer(PROMPT, return_tensors="pt")
    ids = model.generate(**inputs, max_new_tokens=24, do_sample=True, temperature=0.7, top_k=40)
    return " ".join(tokenizer.decode(ids[0], skip_special_tokens=True).split())


def summary(
    folder: Path, ner_folder: Path, pretrained: dict[str, Any], text: str, ner: dict[str, Any], seconds: float
) -> str:
    """What the model learned, and which files hold it."""
    first, last = pretrained["held_out"][0], pretrained["held_out"][-1]
    adapted = pretrained["adaptation"]
    entities = ner["scores"]["test"]
    lines = [
        "",
        f"Done in {seconds:.0f} s: {pretrained['steps']} steps, {pretrained['tokens_seen']:,} tokens, "
        f"{pretrained['episodes']} episodes ({pretrained['episodes_skipped']} skipped).",
        "",
        "On held-out text, before and after training",
        f"  perplexity             {first['eval_perplexity']:>8,.1f}  ->  {last['eval_perplexity']:,.1f}",
    ]
    if adapted is not None:
        curve = adapted["trained"] or adapted["fresh"]
        head = "trained head" if adapted["trained"] else "fresh head"
        any_documents = pretrained["adaptation_any_documents"]
        any_document = (any_documents["trained"] or any_documents["fresh"])[-1]["mean"]
        lines += [
            "On episodes of held-out words, before and after the inner loop",
            f"  query accuracy         {curve[0]['mean']:>8.1%}  ->  {curve[-1]['mean']:.1%} ({head})",
            f"    for comparison: chance {adapted['chance']:.1%}, fresh head {adapted['fresh'][-1]['mean']:.1%}, "
            f"class prototypes {adapted['prototypes']['mean']:.1%}",
            f"    {head} with support from any document, the query's own too: {any_document:.1%}",
        ]
    lines += [
        f"NER on invented sentences, test F1 {entities['f1']:.2f} ({entities['support']} entities)",
        "",
        f"It writes: {text}",
        "",
        f"  {folder}    the model: AutoModelForCausalLM.from_pretrained({str(folder)!r}) after `import pico_maml`",
        f"  {folder / METRICS_FILE}    every metric, by step",
        f"  {folder / RESULTS_FILE}    perplexity and query accuracy, as above",
        f"  {ner_folder}    the NER model and its scores",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
