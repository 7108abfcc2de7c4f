"""The metadata of a model card, from which the Hub's page shows the evaluation."""

import re
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from ..settings import Settings
from .facts import Facts

UNER = "universalner/universal_ner"


def metadata(facts: Facts, settings: Settings) -> ModelCardData:
    """Licence, tags, data set and results."""
    datasets = [UNER] if facts.tagger else facts.hub_datasets
    results = [*held_out_results(facts), *episode_results(facts), *ner_results(facts), *text_results(facts)]
    tasks = {"token-classification": facts.tagger, "text-classification": facts.classifier}
    return ModelCardData(
        license=settings.publish_license,
        library_name="transformers",
        pipeline_tag=next((task for task, results in tasks.items() if results), "text-generation"),
        base_model=facts.base_model,
        tags=[
            *(["pico"] * (facts.other_class is None)),
            "pico-maml",
            *(["meta-learning", "maml"] * facts.meta_learned),
            *(["small-language-model"] * (facts.other_class is None)),
        ],
        datasets=datasets or None,
        model_name=settings.repository.split("/")[1],
        eval_results=results or None,
    )


def held_out_results(facts: Facts) -> list[EvalResult]:
    """Perplexity and loss on held-out text."""
    metrics = (
        ("eval_perplexity", "perplexity", "Perplexity"),
        ("eval_next_token_loss", "loss", "Next-token loss (nats a token)"),
    )
    text: dict[str, Any] = {
        "dataset_type": facts.hub_dataset or "text",
        "dataset_name": f"held-out text of {facts.corpus}",
    }
    return [
        EvalResult("text-generation", metric_type=kind, metric_name=name, metric_value=round(value, 4), **text)
        for metric, kind, name in metrics
        if (value := facts.newest(metric)) is not None
    ]


def episode_results(facts: Facts) -> list[EvalResult]:
    """Query accuracy on episodes of held-out words, of a fresh head where none was trained."""
    accuracies: dict[str, Any] | None = facts.run.results.get("adaptation")
    if not accuracies:
        return []
    episodes = f"{accuracies['n_way']}-way {accuracies['k_shot']}-shot episodes"
    return [
        EvalResult(
            task_type="other",
            task_name="Few-shot word classification",
            dataset_type=facts.hub_dataset or "text",
            dataset_name=f"{episodes} of held-out words of {facts.corpus}",
            metric_type="accuracy",
            metric_name="Query accuracy after the inner loop",
            metric_value=round((accuracies["trained"] or accuracies["fresh"])[-1]["mean"], 4),
        )
    ]


def ner_results(facts: Facts) -> list[EvalResult]:
    """Entity F1 of every tagger on every treebank it was evaluated on."""
    results = []
    for result in facts.run.ner.values():
        for name, scores in result["scores"].items():
            treebank = result["treebank"] if name in ("test", "validation") else name
            results.append(
                EvalResult(
                    task_type="token-classification",
                    task_name="Named entity recognition",
                    dataset_type=UNER if re.fullmatch(r"[a-z]+_[a-z]+", treebank) else "text",
                    dataset_name=treebank,
                    dataset_split="validation" if name == "validation" else "test",
                    metric_type="f1",
                    metric_name="Entity F1 (micro)",
                    metric_value=round(scores["f1"], 4),
                )
            )
    return results


def text_results(facts: Facts) -> list[EvalResult]:
    """Scores of a classifier of texts on every split it was evaluated on."""
    if facts.classifier is None:
        return []
    metrics = (
        ("f1", "f1", "Macro-F1"),
        ("accuracy", "accuracy", "Accuracy"),
        ("matthews", "matthews_correlation", "Matthews' correlation"),
    )
    return [
        EvalResult(
            task_type="text-classification",
            dataset_type="text",
            dataset_name=facts.classifier["dataset"],
            dataset_split=split,
            metric_type=kind,
            metric_name=name,
            metric_value=round(scores[key], 4),
        )
        for split, scores in facts.classifier["scores"].items()
        for key, kind, name in metrics
    ]
