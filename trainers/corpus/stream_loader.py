"""Batches of a streamed corpus for all processes, and the position to resume from."""

from collections.abc import Iterator
from typing import Any

import torch
from datasets.exceptions import DatasetGenerationError
from torch import Tensor
from torchdata.stateful_dataloader import StatefulDataLoader

from ..errors import InputError
from ..process_group import broadcast_on_hosts, rank, world_size
from .mixture import MixedStream
from .packing import collate_blocks
from .stream import BlockStream


class StreamLoader:
    """Process 0 reads the stream and sends every process its rows: the same batches for any number of processes.

    Args:
        stream: a stream that repeats, or a mixture.
        batch_size: B, blocks of a micro-batch on one process.
        options: of the `DataLoader`: `num_workers`, `prefetch_factor` and so on.
    """

    def __init__(self, stream: BlockStream | MixedStream, batch_size: int, **options: Any) -> None:
        self.batch_size = batch_size
        self.block_size = stream.block_size
        self.workers = options["num_workers"]
        self.columns = ["input_ids", "shift_labels", "document"]
        self.may_end, self.ended = False, False
        if isinstance(stream, MixedStream):
            stream.check_workers(self.workers)
            self.columns.append("source")
            self.may_end = stream.ends
        # Its own generator, so that the global one is in the same state after a resume.
        self.loader = StatefulDataLoader(
            stream,
            batch_size=batch_size * world_size(),
            collate_fn=collate_blocks,
            generator=torch.Generator(),
            drop_last=True,
            **options,
        )

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        batches = iter(self.loader) if rank() == 0 else None
        while True:
            shape = len(self.columns), self.batch_size * world_size(), self.block_size
            tokens = torch.empty(*shape, dtype=torch.long)
            if batches is not None:
                try:
                    batch = None if self.ended else next(batches, None)
                except InputError:
                    raise
                except (OSError, ValueError, DatasetGenerationError) as error:
                    reason = str(error).strip().splitlines()[-1]
                    raise InputError(f"cannot read on in the corpus ({reason}): repair or remove the file") from error
                if batch is not None:
                    if "source" in batch:  # of a row, sent like those of a token
                        batch["source"] = batch["source"][:, None].expand_as(batch["input_ids"])
                    tokens = torch.stack([batch[name] for name in self.columns])
                elif self.may_end:
                    tokens.fill_(-1)  # tells every process
                else:
                    raise InputError("the streamed corpus has ended: make it repeat")
            tokens = broadcast_on_hosts(tokens)
            if self.may_end and tokens[0, 0, 0] < 0:
                self.ended = True
                return
            first = rank() * self.batch_size
            rows = dict(zip(self.columns, tokens[:, first : first + self.batch_size], strict=True))
            if "source" in rows:
                rows["source"] = rows["source"][:, 0]
            yield rows

    def state_dict(self) -> dict[str, Any]:
        """The position of process 0 after the last batch, which can be written as JSON."""
        state = {"workers": self.workers, "loader": self.loader.state_dict()}
        # A loader that has ended would begin again.
        return state | {"ended": True} if self.ended else state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a position; InputError if it was saved with another number of workers."""
        if state["workers"] != self.workers:
            raise InputError(
                f"dataloader_num_workers was {state['workers']} and is {self.workers}: resume with the same "
                "number, because each worker has its own position in a streamed corpus"
            )
        self.ended = state.get("ended", False)
        self.loader.load_state_dict(state["loader"])
