"""Find entities in new text with a fine-tuned model."""

from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from ...modeling_pico import PicoForTokenClassification
from ...modeling_pico.tagging_pico import Tagging, decode_tags
from ..tuning.batches import batches
from .alignment import IGNORED, align
from .iob2 import Entity, to_entities
from .labels import tags_of_model


@dataclass(frozen=True)
class TaggedSentence:
    """Words with the tag of each and its probability, and the number of words that were cut off and tagged O."""

    tokens: list[str]
    tags: list[str]
    probabilities: list[float]
    truncated: int

    @property
    def entities(self) -> list[tuple[Entity, float]]:
        """The entities, each with the mean probability of its tags."""
        return [
            (entity, sum(self.probabilities[entity.start : entity.end]) / (entity.end - entity.start))
            for entity in to_entities(self.tags)
        ]


@torch.inference_mode()
def predict(
    model: PicoForTokenClassification,
    tokenizer: PreTrainedTokenizerBase,
    sentences: list[list[str]],
    tokens_at_once: int = 4096,
) -> list[TaggedSentence]:
    """Tag sentences; the result has their order.

    Args:
        model: from `fine_tune`, which recorded in its configuration how words are tokenized and tags decoded.
        tokenizer: the model's.
        sentences: the words of each, one at least.
        tokens_at_once: sub-words of a batch, padding included.

    Raises:
        InputError: the labels of the model are no IOB2 tags (it was not fine-tuned), or the tokenizer gives no word
            ids.
    """
    names = tags_of_model(model)
    subword, decoding, space = Tagging.of(model.config)
    rows: dict[str, list] = {"tokens": sentences, "ner_tags": [[0] * len(tokens) for tokens in sentences]}
    columns = align(rows, tokenizer, model.config.max_seq_len, subword, space)
    ids, labels = ([torch.tensor(row) for row in columns[name]] for name in ("input_ids", "labels"))
    model.eval()
    tagged: dict[int, TaggedSentence] = {}
    for batch in batches(columns["length"], tokens_at_once):
        padded = pad_sequence([ids[i] for i in batch], batch_first=True).to(model.device)
        logits = model(input_ids=padded, use_cache=False).logits.float().cpu()
        labelled = pad_sequence([labels[i] for i in batch], batch_first=True, padding_value=IGNORED) != IGNORED
        classes = decode_tags(logits, labelled, decoding, names)
        probabilities = logits.softmax(-1).gather(-1, classes[..., None])[..., 0]
        for row, i in enumerate(batch):
            words, mask = columns["labelled_words"][i], labelled[row]
            tags, certainty = ["O"] * len(sentences[i]), [1.0] * len(sentences[i])
            for word, label, probability in zip(words, classes[row][mask], probabilities[row][mask], strict=True):
                tags[word], certainty[word] = names[label], probability.item()
            tagged[i] = TaggedSentence(sentences[i], tags, certainty, len(tags) - len(words))
    return [tagged[i] for i in range(len(sentences))]
