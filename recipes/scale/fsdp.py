"""What FSDP2 gathers, scatters and holds, for a model that accelerate has sharded (configs/accelerate/fsdp2.yaml).

Weights are gathered in units. The embedding and each layer are freed after every forward pass and gathered again for
the backward pass. The final norm with the LM head, and the episodes' head, are held from their first use in a
micro-batch to the end of its backward pass. While the micro-batches of an optimizer step add up (`no_sync`), gradients
stay whole on every process; the backward pass of the last one reduce-scatters them.
"""

from dataclasses import dataclass

import torch
from torch import nn

from ...modeling_pico import PicoConfig
from ...trainers.meta.meta_model import PicoForMetaCausalLM


@dataclass(frozen=True)
class Units:
    """Weights of each unit; `tail` is the final norm with the LM head, `head` the episodes' head."""

    embedding: int
    layers: list[int]
    tail: int
    head: int

    @classmethod
    def of(cls, config: PicoConfig) -> "Units":
        """Count the weights of a configuration with `meta_head`."""
        with torch.device("meta"):
            model = PicoForMetaCausalLM(config)
        decoder = model.pico_decoder
        return cls(
            embedding=size(decoder.embedding_proj),
            layers=[size(layer) for layer in decoder.layers],
            tail=size(decoder.output_norm) + size(model.de_embedding_proj),
            head=size(model.meta_head),
        )

    def gathers(self, encodings: int) -> list[int]:
        """Weights of each all-gather of a micro-batch.

        `encodings` are forward passes of the decoder, of which the last has a backward pass: 1 in next-token
        prediction and in an episode whose support set gets a gradient, 2 in an episode whose support set gets none.
        """
        freed = [self.embedding, *self.layers] * (encodings + 1)
        # The backward pass fetches the unit used before each one, for the first its last layer's of the pass before.
        needless = self.layers[-1:] * (encodings - 1)
        return [*freed, *needless, self.tail, self.head]

    def scatters(self) -> list[int]:
        """Weights of each reduce-scatter of an optimizer step with micro-batches of both kinds."""
        return [self.embedding, *self.layers, self.tail, self.head]

    def held(self) -> int:
        """Weights that are whole at once: the held units, and of the others the one in use and the next one."""
        return self.tail + self.head + sum(sorted([self.embedding, *self.layers])[-2:])


def size(module: nn.Module) -> int:
    """Number of weights."""
    return sum(parameter.numel() for parameter in module.parameters())
