"""Text files with a paragraph a row, and beside it the file that the paragraph is from."""

from collections.abc import Iterator
from hashlib import blake2b, file_digest
from typing import Any

import pyarrow as pa
from datasets.builder import Key
from datasets.packaged_modules.text.text import Text


class TextFiles(Text):
    """The builder behind `load_dataset("text")`, with a column `document`: a hash of the content of the file."""

    def _generate_tables(self, base_files: list[str], files_iterables: list[Any]) -> Iterator[tuple[Key, pa.Table]]:
        for shard, files in enumerate(files_iterables):
            for path in files:
                number = _content_number(path)
                for batch, (_, table) in enumerate(super()._generate_tables([path], [[path]])):
                    documents = pa.array([number] * len(table), pa.int64())
                    yield Key(shard, batch), table.append_column("document", documents)


def _content_number(path: str) -> int:
    with open(path, "rb") as file:  # noqa: PTH123  datasets replaces `open` when it streams
        return int.from_bytes(file_digest(file, lambda: blake2b(digest_size=8)).digest(), signed=True)
