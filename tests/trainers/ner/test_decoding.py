import itertools

import pytest
import torch
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from pico_maml.modeling_pico.tagging_pico import decode_tags
from pico_maml.trainers.ner.iob2 import LABELS


def decode(logits, labelled, decoding):
    return decode_tags(logits, labelled, decoding, LABELS)


def is_iob2(tags: tuple[str, ...]) -> bool:
    return all(not b.startswith("I-") or a[1:] == b[1:] for a, b in itertools.pairwise(("O", *tags)))


@pytest.mark.parametrize("seed", range(20))
def test_iob2_decoding_finds_the_most_probable_valid_sequence(seed):
    logits = 2 * torch.randn(1, 6, 7, generator=torch.Generator().manual_seed(seed))
    labelled = torch.tensor([[True, False, True, True, False, True]])
    words = logits[0, labelled[0]].log_softmax(-1)
    sequences = [s for s in itertools.product(range(7), repeat=4) if is_iob2(tuple(LABELS[i] for i in s))]
    best = max(sequences, key=lambda s: sum(words[i, c].item() for i, c in enumerate(s)))
    assert decode(logits, labelled, "iob2")[labelled].tolist() == list(best)


def test_iob2_decoding_changes_only_invalid_sequences():
    def logits(*tags: str) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor([[LABELS.index(tag) for tag in tags]]), 7) * 5.0

    def tags(given: torch.Tensor) -> list[str]:
        return [LABELS[i] for i in decode(given, torch.ones(given.shape[:2], dtype=torch.bool), "iob2")[0]]

    assert tags(logits("O", "B-PER", "I-PER", "B-PER", "O")) == ["O", "B-PER", "I-PER", "B-PER", "O"]
    unsure = logits("O", "I-PER", "I-PER")
    unsure[0, 1, LABELS.index("B-PER")] = 4.0
    assert tags(unsure) == ["O", "B-PER", "I-PER"]
    unsure[0, 1, LABELS.index("O")] = unsure[0, 2, LABELS.index("O")] = 4.2
    assert tags(unsure) == ["O", "B-PER", "I-PER"], "what follows counts"


def test_iob2_decoding_does_not_depend_on_other_rows_or_padding():
    logits = torch.randn(5, 9, 7, generator=torch.Generator().manual_seed(0))
    lengths = [9, 4, 1, 7, 0]
    labelled = torch.tensor([[i < length for i in range(9)] for length in lengths])
    together = decode(logits, labelled, "iob2")
    for row, length in enumerate(lengths):
        if length:
            alone = decode(logits[row : row + 1, :length], labelled[row : row + 1, :length], "iob2")
            assert together[row, :length].tolist() == alone[0].tolist()


def test_strict_and_default_f1_agree_on_tags_decoded_as_iob2():
    logits, gold = (2 * torch.randn(30, 8, 7, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    labelled = torch.ones(30, 8, dtype=torch.bool)
    predicted, gold_tags = (
        [[LABELS[i] for i in row] for row in decode(part, labelled, "iob2").tolist()] for part in (logits, gold)
    )
    strict = f1_score(gold_tags, predicted, mode="strict", scheme=IOB2)
    assert 0 < strict == f1_score(gold_tags, predicted)
    assert decode(logits, labelled, "argmax").equal(logits.argmax(-1))
