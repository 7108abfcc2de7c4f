"""A pipeline that finds entities with a fine-tuned Pico as the package does: words, sub-words and tags alike."""

import os
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from transformers import TokenClassificationPipeline
from transformers.dynamic_module_utils import custom_object_save
from transformers.pipelines.token_classification import AggregationStrategy
from transformers.utils import logging

from .tagging_pico import Tagging, decode_tags, encode_words, labelled_positions, split_words

logger = logging.get_logger(__name__)


class PicoNERPipeline(TokenClassificationPipeline):
    """Token classification by words.

    Only one sub-word of each word has a label in fine-tuning, and words are read with the space before them; both are
    recorded in the model's configuration. transformers' own pipeline groups all sub-words by one of its strategies
    instead. Each line of a text is a sentence, which is cut where the model's length ends.

    `aggregation_strategy="none"` returns words, everything else entities.
    """

    def _sanitize_parameters(
        self,
        ignore_labels: list[str] | None = None,
        aggregation_strategy: str | AggregationStrategy | None = None,
        is_split_into_words: bool = False,
        delimiter: str | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return super()._sanitize_parameters(
            ignore_labels, aggregation_strategy, is_split_into_words=is_split_into_words, delimiter=delimiter
        )

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any) -> None:
        """Save model and tokenizer, and this code if it came with the model."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.tokenizer.save_pretrained(save_directory, **kwargs)
        if "custom_pipelines" in self.model.config.to_dict():
            custom_object_save(self, save_directory)

    def preprocess(
        self, sentence: str | list[str], is_split_into_words: bool = False, delimiter: str = " "
    ) -> Iterator[dict[str, Any]]:
        """Yield the input of the model for each line of a text, or for one sentence given as a list of words."""
        if is_split_into_words == isinstance(sentence, str):
            raise ValueError(f"is_split_into_words={is_split_into_words}, but the input is {type(sentence).__name__}")
        text, lines = line_spans(sentence) if isinstance(sentence, str) else joined_spans(sentence, delimiter)
        tagging, length = Tagging.of(self.model.config), self.model.config.max_position_embeddings
        for number, spans in enumerate(lines):
            words = [text[start:end] for start, end in spans]
            encoded = encode_words(self.tokenizer, [words], length, tagging.space_before_words)
            positions = labelled_positions(encoded, 0, tagging.labelled_subword)
            if len(positions) < len(words):
                logger.warning(
                    f"{len(words) - len(positions)} words beyond {length} sub-words of a line are not tagged"
                )
            # A text without words is one token that stands for no word.
            ids = torch.tensor([encoded["input_ids"][0] or [0]])
            unlabelled = torch.ones_like(ids)
            unlabelled[0, positions] = 0
            yield {
                "input_ids": ids,
                "attention_mask": torch.ones_like(ids),
                # Marks what stands for no word: control tokens, the other sub-words of a word, and padding.
                "special_tokens_mask": unlabelled,
                "word_ids": [encoded.word_ids(0)[position] for position in positions],
                "word_to_chars_map": spans,
                "sentence": text,
                "is_last": number == len(lines) - 1,
            }

    def postprocess(
        self,
        all_outputs: list[dict[str, Any]],
        aggregation_strategy: AggregationStrategy = AggregationStrategy.SIMPLE,
        ignore_labels: list[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Entities of a text in its order, with `entity_group`, mean `score`, `word`, `start` and `end`."""
        entities = []
        for line in all_outputs:  # one by one: no entity goes on in the next line
            entities += super().postprocess([line], aggregation_strategy, ignore_labels)
        text = all_outputs[0]["sentence"]
        return [entity | {"word": text[entity["start"] : entity["end"]]} for entity in entities]

    def gather_pre_entities(
        self,
        sentence: str,
        input_ids: np.ndarray,
        scores: np.ndarray,
        offset_mapping: Any,
        special_tokens_mask: np.ndarray,
        aggregation_strategy: AggregationStrategy,
        word_ids: list[int],
        word_to_chars_map: list[tuple[int, int]],
    ) -> list[dict[str, Any]]:
        """The scores of each word, which are those of its labelled sub-word, and its place in the text."""
        words = []
        for word, row in zip(word_ids, scores[special_tokens_mask == 0], strict=True):
            start, end = word_to_chars_map[word]
            words.append({"word": sentence[start:end], "scores": row, "start": start, "end": end, "index": word})
        return words

    def aggregate(
        self, pre_entities: list[dict[str, Any]], aggregation_strategy: AggregationStrategy
    ) -> list[dict[str, Any]]:
        """Decode the tags of words as in fine-tuning, and group them into entities."""
        if not pre_entities:
            return []
        scores = torch.from_numpy(np.stack([word.pop("scores") for word in pre_entities]))[None]
        labels = [self.model.config.id2label[i] for i in range(scores.shape[-1])]
        labelled = torch.ones(scores.shape[:2], dtype=torch.bool)
        classes = decode_tags(scores.log(), labelled, Tagging.of(self.model.config).tag_decoding, labels)[0].tolist()
        words = [
            word | {"entity": labels[i], "score": row[i].item()}
            for word, i, row in zip(pre_entities, classes, scores[0], strict=True)
        ]
        return words if aggregation_strategy == AggregationStrategy.NONE else self.group_entities(words)


Spans = list[tuple[int, int]]


def line_spans(text: str) -> tuple[str, list[Spans]]:
    """A text, with the start and end of each word of each line; lines without words are left out."""
    lines, start = [], 0
    for line in text.split("\n"):
        lines.append([(start + begin, start + end) for begin, end in split_words(line)])
        start += len(line) + 1
    return text, [line for line in lines if line] or [[]]


def joined_spans(words: list[str], delimiter: str) -> tuple[str, list[Spans]]:
    """The text of words, with the start and end of each word of its one sentence."""
    starts = accumulate((len(word) + len(delimiter) for word in words), initial=0)
    return delimiter.join(words), [[(start, start + len(word)) for start, word in zip(starts, words, strict=False)]]
