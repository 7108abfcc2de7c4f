"""Baselines without a pretrained model, which a result has to beat to mean anything."""

from collections import Counter
from typing import Any

from datasets import DatasetDict


def baseline_scores(splits: DatasetDict) -> dict[str, dict[str, float]]:
    """Test scores of train's majority class and of logistic regression on its TF-IDF words; empty without test."""
    # Imported here, because scikit-learn takes seconds to load.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from .scores import class_scores

    if "test" not in splits:
        return {}
    train, test = splits["train"][:], splits["test"][:]
    # Words of one letter count too, and signs, without which a text might have none.
    words = make_pipeline(TfidfVectorizer(token_pattern=r"\w+|[^\w\s]"), LogisticRegression(max_iter=1000))
    predictions: dict[str, Any] = {
        "majority": [Counter(train["label"]).most_common(1)[0][0]] * len(test["label"]),
        "bag_of_words": words.fit(train["text"], train["label"]).predict(test["text"]),
    }
    return {name: class_scores(test["label"], classes) for name, classes in predictions.items()}
