"""Log-probabilities of whole sentences."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

IGNORED = -100


def sentence_log_probabilities(
    model: PreTrainedModel, sentences: Sequence[Sequence[int]], first: int, batch_size: int
) -> Tensor:
    """Return the log-probability of each sentence in nats, (N,) float64: the sum over all of its tokens.

    Every sentence is read after the token `first`, so that its own first token is predicted too. Sentences of like
    length share a forward pass, padded on the right, where no token of theirs looks.

    Args:
        model: any causal language model; its mode is restored.
        sentences: token ids of each, at least one.
        first: end-of-text or beginning-of-text.
        batch_size: sentences of a forward pass.
    """
    values = torch.zeros(len(sentences), dtype=torch.float64)
    order = torch.tensor([len(sentence) for sentence in sentences]).argsort(stable=True)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for rows in order.split(batch_size):
                targets = pad_sequence([torch.tensor(sentences[i]) for i in rows.tolist()], True, IGNORED)
                targets = targets.to(model.device)
                # The last token is predicted but not read.
                read = targets[:, :-1]
                ids = pad(read.where(read != IGNORED, first), (1, 0), value=first)
                mask = pad((read != IGNORED).long(), (1, 0), value=1)
                logits = model(ids, attention_mask=mask, use_cache=False).logits.float().flatten(0, 1)
                nats = cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, reduction="none")
                nats = nats.view_as(targets)
                values[rows] = -nats.double().sum(1).cpu()
    finally:
        model.train(was_training)
    return values
