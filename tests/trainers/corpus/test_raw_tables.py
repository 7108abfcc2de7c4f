from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pico_maml.trainers.corpus import raw_tables


@given(st.text(alphabet="a\n", max_size=40), st.integers(1, 5))
@settings(deadline=None)
def test_texts_are_cut_at_empty_lines_wherever_a_chunk_ends(text, chunk):
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw_tables, "CHUNK", chunk)
        path = Path(folder, "a.txt")
        path.write_text(text)
        texts = [row for table in raw_tables.raw_tables(path) for row in table.column("text").to_pylist()]
    assert texts == [part for part in text.split("\n\n") if part]
