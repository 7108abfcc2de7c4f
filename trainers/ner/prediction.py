"""Entities in new text, by a fine-tuned model."""

from dataclasses import dataclass

import regex
import torch
from transformers import PreTrainedTokenizerBase

from ...modeling_pico import PicoForTokenClassification
from .alignment import IGNORED, align
from .decoding import decode
from .features import batches
from .fine_tuning import check_labels
from .iob2 import LABELS, Entity, to_entities

# Words as Universal Dependencies splits most languages: letters with their marks, joined by hyphen or apostrophe;
# punctuation alone; a Chinese character alone, because nothing says where a Chinese word ends.
WORD = regex.compile(
    r"\p{Han}|[[\p{L}\p{M}\p{N}_]--\p{Han}]+(?:[-'\u2019][[\p{L}\p{M}\p{N}_]--\p{Han}]+)*|[^\s\p{L}\p{M}\p{N}_]",
    regex.VERSION1,
)


@dataclass(frozen=True)
class TaggedSentence:
    """Words, the tag of each, the probability of each tag, and how many words were cut off (tagged O)."""

    tokens: list[str]
    tags: list[str]
    probabilities: list[float]
    truncated: int

    @property
    def entities(self) -> list[tuple[Entity, float]]:
        """The entities, each with the mean probability of its tags."""
        found = to_entities(self.tags)
        return [
            (entity, sum(self.probabilities[entity.start : entity.end]) / (entity.end - entity.start))
            for entity in found
        ]


def split_words(text: str) -> list[tuple[int, int]]:
    """Where the words of a text begin and end, in characters."""
    return [match.span() for match in WORD.finditer(text)]


@torch.inference_mode()
def predict(
    model: PicoForTokenClassification,
    tokenizer: PreTrainedTokenizerBase,
    sentences: list[list[str]],
    tokens_at_once: int = 4096,
) -> list[TaggedSentence]:
    """Tag sentences, in their order.

    Args:
        model: of `fine_tune`; its configuration says which sub-word carries a word's label, and how tags are decoded.
        tokenizer: the model's.
        sentences: words of each; at least one word each.
        tokens_at_once: sub-words of a batch, padding included.

    Raises:
        InputError: the model has other labels than `LABELS` (it was not fine-tuned), or the tokenizer no word ids.
    """
    check_labels(model)
    settings = model.config.to_dict()
    subword, decoding = settings.get("labelled_subword", "first"), settings.get("tag_decoding", "argmax")
    rows: dict[str, list] = {"tokens": sentences, "ner_tags": [[0] * len(tokens) for tokens in sentences]}
    columns = align(rows, tokenizer, model.config.max_seq_len, subword)
    model.eval()
    tagged: dict[int, TaggedSentence] = {}
    for batch in batches(columns["length"], tokens_at_once):
        padded = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(columns["input_ids"][i]) for i in batch], batch_first=True
        )
        logits = model(input_ids=padded.to(model.device), use_cache=False).logits.float().cpu()
        labels = [torch.tensor(columns["labels"][i]) for i in batch]
        labelled = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=IGNORED) != IGNORED
        classes = decode(logits, labelled, decoding)
        probabilities = logits.softmax(-1).gather(-1, classes[..., None])[..., 0]
        for i, kept, row_classes, row_probabilities in zip(batch, labelled, classes, probabilities, strict=True):
            words = columns["labelled_words"][i]
            tags, certain = ["O"] * len(sentences[i]), [1.0] * len(sentences[i])
            for word, label, probability in zip(
                words, row_classes[kept].tolist(), row_probabilities[kept].tolist(), strict=True
            ):
                tags[word], certain[word] = LABELS[label], probability
            tagged[i] = TaggedSentence(sentences[i], tags, certain, len(tags) - len(words))
    return [tagged[i] for i in range(len(sentences))]
