"""Classification of texts: labelled texts from files and data sets, fine-tuning, few shots, scores."""

from .classification_config import ClassificationConfig
from .fine_tuning import FineTuned, fine_tune
from .prediction import predict
from .texts import TextFormat, load_texts

__all__ = ["ClassificationConfig", "FineTuned", "TextFormat", "fine_tune", "load_texts", "predict"]
