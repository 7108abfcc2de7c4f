"""The model card of a checkpoint, written from what its run left behind."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from ..queue import Entry
from ..settings import Settings
from .facts import RunFacts
from .figures import draw_curves, draw_dynamics
from .metadata import dataset_name, hub_dataset, metadata, with_episodes

CURVES, DYNAMICS = "figures/curves.png", "figures/learning_dynamics.png"
# Arguments about a machine, a tracker or a moment say nothing about a model.
NOT_SHOWN = ("publish_", "hub_", "push_to_hub", "output_dir", "run_name", "report_to", "logging_", "disable_tqdm")
PAPER = "Learning Dynamics of Meta-Learning in Small Model Pretraining"
CITATION = """@misc{pico-maml,
  title  = {pico-maml},
  author = {{The pico-maml authors}},
  year   = {2026},
  note   = {Pretraining of small decoders with first-order MAML episodes between next-token prediction steps}
}

@article{demitriafrica2025learning,
  title  = {Learning Dynamics of Meta-Learning in Small Model Pretraining},
  author = {Demitri Africa, David and Weiss, Yuval and Buttery, Paula and Diehl Martinez, Richard},
  year   = {2025}
}"""


def write_card(folder: Path, entry: Entry, settings: Settings, weights_step: int | None = None) -> None:
    """Write README.md and its figures.

    Args:
        folder: gets them.
        entry: the frozen checkpoint and run.
        settings: names the repository and the licence.
        weights_step: see `RunFacts.of_entry`.
    """
    facts = RunFacts.of_entry(entry, weights_step)
    drawn = [path for path in (CURVES,) if draw_curves(facts.metrics, folder / path)]
    if facts.dynamics is not None and draw_dynamics(facts.dynamics, folder / DYNAMICS):
        drawn.append(DYNAMICS)
    (folder / "README.md").write_text(card(facts, settings, drawn))


def card(facts: RunFacts, settings: Settings, figures: list[str]) -> str:
    """The text of the card, metadata in front."""
    sections = [
        introduction(facts, settings),
        tagger_use(settings) if "" in facts.ner else use(facts, settings),
        size(facts),
        training(facts),
        curves(figures),
        evaluation(facts),
        hyperparameters(facts),
        limits(facts),
        f"## Citation\n\n```bibtex\n{CITATION}\n```\n\nLicence: {settings.publish_license}.",
    ]
    content = "\n\n".join(section for section in sections if section)
    return str(ModelCard(f"---\n{metadata(facts, settings).to_yaml()}\n---\n\n{content}\n"))


def introduction(facts: RunFacts, settings: Settings) -> str:
    """What it is."""
    name = settings.repository.split("/")[1]
    if "" in facts.ner:
        result = facts.ner[""]
        return (
            f"# {name}\n\nA Pico decoder that finds names of persons, organisations and places, fine-tuned on "
            f"{result['treebank']} ({'all weights' if result['mode'] == 'full' else 'the classifier alone'}) "
            "with pico-maml."
        )
    how = (
        "pretrained with next-token prediction interleaved with episodes of first-order MAML on subset-masked "
        f"language modelling tasks, the method of *{PAPER}* (2025)"
        if with_episodes(facts)
        else f"pretrained with next-token prediction alone, a baseline for the method of *{PAPER}* (2025)"
    )
    state = "of the finished run" if facts.final else "of a run"
    main = {"newest": "the newest of them", "best": "the one with the lowest held-out loss"}[settings.publish_main]
    return (
        f"# {name}\n\nA small LLaMA-style language model of {facts.parameters:,} parameters, {how}. These are the "
        f"weights {state} after {facts.step:,} optimizer steps; every published checkpoint "
        f"is a revision `step-N` here, and `main` holds {main}. Made with pico-maml, an independent implementation."
    )


def use(facts: RunFacts, settings: Settings) -> str:
    """How to load it, with and without the package."""
    name = settings.repository
    revision = "" if facts.final else f', revision="step-{facts.step}"'
    place = name if facts.final else f"{name}@step-{facts.step}"
    return f"""## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{name}"{revision}, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained("{name}"{revision})
inputs = tokenizer("The", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=20)[0]))
```

With the package (`import pico_maml`) it loads without `trust_remote_code`, and its recipes take
`{place}` wherever they take a folder:

```bash
python -m pico_maml.recipes.finetune --model {place} --treebank sample --output_dir runs/ner
```"""


def tagger_use(settings: Settings) -> str:
    """How to find entities with it."""
    return f"""## Use

```python
from transformers import pipeline

name = "{settings.repository}"
tagger = pipeline("token-classification", name, trust_remote_code=True, aggregation_strategy="simple")
print(tagger("Mara moved to Norburg ."))
```"""


def size(facts: RunFacts) -> str:
    """Its shape."""
    names = {
        "d_model": "width",
        "n_layers": "layers",
        "attention_n_heads": "query heads",
        "attention_n_kv_heads": "key/value heads",
        "activation_hidden_dim": "inner width of SwiGLU",
        "max_seq_len": "longest sequence (tokens)",
        "vocab_size": "vocabulary",
    }
    rows = [("parameters", f"{facts.parameters:,}")]
    rows += [(label, f"{facts.config[key]:,}") for key, label in names.items() if key in facts.config]
    return "## Size\n\n" + table(("", ""), rows)


def training(facts: RunFacts) -> str:
    """What it was trained on, and for how long."""
    dataset = hub_dataset(facts)
    corpus = f"[{dataset}](https://huggingface.co/datasets/{dataset})" if dataset else dataset_name(facts)
    if "" in facts.ner:
        return ""
    lines = [f"Corpus: {corpus}."]
    if (seen := facts.newest("tokens_seen")) is not None:
        lines.append(
            f"Tokens seen: {seen:,.0f}, of these trained on by next-token prediction "
            f"{facts.newest('next_token_tokens') or 0:,.0f}."
        )
    if (episodes := facts.newest("episodes")) is not None:
        lines.append(f"Episodes: {episodes:,.0f} ({facts.newest('episodes_skipped') or 0:,.0f} skipped).")
    return "## Training\n\n" + " ".join(lines)


def curves(figures: list[str]) -> str:
    """The figures."""
    titles = {CURVES: "Training curves", DYNAMICS: "Learning dynamics, means over each layer"}
    if not figures:
        return ""
    return "## Curves\n\n" + "\n\n".join(f"![{titles[path]}]({path})" for path in figures)


def evaluation(facts: RunFacts) -> str:
    """What was measured on held-out text, on episodes of held-out words, and on entities."""
    parts = []
    if (perplexity := facts.newest("eval_perplexity")) is not None:
        step = max(step for step in facts.curve("eval_perplexity")[0] if step <= facts.step)
        loss = facts.newest("eval_next_token_loss")
        parts.append(
            f"Held-out text, step {step}: perplexity {perplexity:,.2f}, next-token loss {loss:.4f} nats a token."
        )
    if adapted := facts.results.get("adaptation"):
        rows = [("chance", percent(adapted["chance"])), ("class prototypes, no head", interval(adapted["prototypes"]))]
        if adapted["trained"]:
            rows += [
                ("trained head, before the inner loop", interval(adapted["trained"][0])),
                ("trained head, after it", interval(adapted["trained"][-1])),
            ]
        rows.append(("a fresh head, after it", interval(adapted["fresh"][-1])))
        head = (
            f"{adapted['n_way']}-way {adapted['k_shot']}-shot classification of held-out words",
            "query accuracy, 95 % interval",
        )
        parts.append(table(head, rows))
    for folder, result in facts.ner.items():
        scored = [
            (name, f"{scores['f1']:.3f}", f"{scores['strict_f1']:.3f}", str(scores["support"]))
            for name, scores in result["scores"].items()
        ]
        scored += [(f"test, {name} baseline", f"{f1:.3f}", "", "") for name, f1 in result.get("baselines", {}).items()]
        title = f"Named entities, trained on {result['treebank']} ({result['mode']})"
        parts.append(
            (f"`{folder}`: " if folder else "") + title + "\n\n" + table(("", "F1", "strict F1", "entities"), scored)
        )
    return "## Evaluation\n\n" + "\n\n".join(parts) if parts else ""


def hyperparameters(facts: RunFacts) -> str:
    """Every argument of the run that decides what it is."""
    shown = {k: v for k, v in sorted(facts.arguments.items()) if not k.startswith(NOT_SHOWN) and v is not None}
    if not shown:
        return ""
    # A path on somebody's machine is nobody's business.
    shown = {k: Path(v).name if isinstance(v, str) and v.startswith(("/", "~")) else v for k, v in shown.items()}
    rows = [(f"`{key}`", f"`{json.dumps(value)}`") for key, value in shown.items()]
    return (
        "## Hyperparameters\n\n<details><summary>Every argument of the run</summary>\n\n"
        + table(("argument", "value"), rows)
        + "\n\n</details>"
    )


def limits(facts: RunFacts) -> str:
    """What not to expect."""
    lines = [
        "- A small model for research on how language models learn: what it writes is not reliable, nor made safe.",
        f"- It was trained on {dataset_name(facts)}, and knows no other language or domain than what that holds.",
    ]
    if with_episodes(facts):
        lines.append(
            "- Query accuracy says something about meta-learning only beside class prototypes and a fresh head: one "
            "that does not beat them has learned little."
        )
    return "## Limits\n\n" + "\n".join(lines)


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def percent(value: float) -> str:
    """A share."""
    return f"{value:.1%}"


def interval(accuracy: dict[str, Any]) -> str:
    """A mean with its interval."""
    return f"{accuracy['mean']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%})"
