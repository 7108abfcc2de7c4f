"""Classify new texts with a fine-tuned model."""

from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from ...modeling_pico import PicoForSequenceClassification
from ..tuning.batches import batches
from .features import tokenize


@dataclass(frozen=True)
class ClassifiedText:
    """A text with the most probable label, its probability, and whether the text was cut to what the model reads."""

    text: str
    label: str
    probability: float
    truncated: bool


@torch.inference_mode()
def predict(
    model: PicoForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    tokens_at_once: int = 4096,
) -> list[ClassifiedText]:
    """Classify texts; the result has their order.

    Args:
        model: from `fine_tune`.
        tokenizer: the model's.
        texts: none of them empty.
        tokens_at_once: tokens of a batch, padding included.

    Raises:
        InputError: the tokenizer makes no token of a text.
    """
    columns = tokenize({"text": texts}, tokenizer, model.config.max_seq_len)
    ids = [torch.tensor(row) for row in columns["input_ids"]]
    model.eval()
    found: dict[int, ClassifiedText] = {}
    for batch in batches(columns["length"], tokens_at_once):
        padded = pad_sequence([ids[i] for i in batch], batch_first=True).to(model.device)
        mask = pad_sequence([torch.ones_like(ids[i]) for i in batch], batch_first=True).to(model.device)
        logits = model(input_ids=padded, attention_mask=mask, use_cache=False).logits.float()
        best = logits.softmax(-1).max(-1)
        for i, probability, label in zip(batch, best.values.tolist(), best.indices.tolist(), strict=True):
            found[i] = ClassifiedText(texts[i], model.config.id2label[label], probability, columns["truncated"][i])
    return [found[i] for i in range(len(texts))]
