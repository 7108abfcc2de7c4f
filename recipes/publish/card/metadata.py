"""The metadata of a model card, from which the Hub's page shows the evaluation."""

import re
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from ..settings import Settings
from .facts import RunFacts

BUILT_IN = "python-prose"
UNER = "universalner/universal_ner"


def metadata(facts: RunFacts, settings: Settings) -> ModelCardData:
    """Licence, tags, data set and results of a checkpoint."""
    tagger = "" in facts.ner
    dataset = hub_dataset(facts)
    return ModelCardData(
        license=settings.publish_license,
        library_name="transformers",
        pipeline_tag="token-classification" if tagger else "text-generation",
        tags=[
            "pico",
            "pico-maml",
            *(["meta-learning", "maml"] if with_episodes(facts) else []),
            "small-language-model",
        ],
        datasets=[UNER] if tagger else [dataset] if dataset else None,
        model_name=settings.repository.split("/")[1],
        eval_results=evaluation(facts) or None,
    )


def evaluation(facts: RunFacts) -> list[EvalResult]:
    """What was measured on held-out data, in the Hub's form."""
    corpus = dataset_name(facts)
    place: dict[str, Any] = {
        "task_type": "text-generation",
        "dataset_type": hub_dataset(facts) or "text",
        "dataset_name": f"held-out text of {corpus}",
    }
    results = [
        EvalResult(**place, metric_type=kind, metric_name=name, metric_value=round(value, 4))
        for metric, kind, name in (
            ("eval_perplexity", "perplexity", "Perplexity"),
            ("eval_next_token_loss", "loss", "Next-token loss (nats a token)"),
        )
        if (value := facts.newest(metric)) is not None
    ]
    if adapted := facts.results.get("adaptation"):
        curve = adapted["trained"] or adapted["fresh"]
        results.append(
            EvalResult(
                task_type="other",
                task_name="Few-shot word classification",
                dataset_type=place["dataset_type"],
                dataset_name=f"{adapted['n_way']}-way {adapted['k_shot']}-shot episodes of held-out words of {corpus}",
                metric_type="accuracy",
                metric_name="Query accuracy after the inner loop",
                metric_value=round(curve[-1]["mean"], 4),
            )
        )
    for result in facts.ner.values():
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


def with_episodes(facts: RunFacts) -> bool:
    """Whether the model was trained with episodes."""
    return bool((facts.config.get("episode") or {}).get("hybrid_ratio", 0) > 0)


def dataset_name(facts: RunFacts) -> str:
    """The corpus, as a reader knows it: not a path on somebody's machine."""
    dataset = str(facts.arguments.get("dataset", "its corpus"))
    if dataset == BUILT_IN:
        return "the documentation inside Python"
    return dataset if hub_dataset(facts) else dataset.rstrip("/").split("/")[-1]


def hub_dataset(facts: RunFacts) -> str | None:
    """The Hub's name of the corpus, None where it is not from there."""
    dataset = str(facts.arguments.get("dataset", ""))
    is_name = re.fullmatch(r"[\w.-]+/[\w.-]+", dataset) and not re.search(r"\.(txt|jsonl?|parquet|arrow)$", dataset)
    return dataset if is_name else None
