from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import BlockStream, collate_blocks, load_documents, pack_blocks

documents = st.lists(st.lists(st.integers(0, 1000), min_size=0, max_size=30), min_size=1, max_size=20)


@given(documents=documents, block=st.integers(1, 12))
def test_every_token_is_predicted_and_only_the_last_block_repeats_any(documents, block):
    stream = [token for document in documents for token in document]
    if len(stream) < block + 1:
        with pytest.raises(InputError, match=f"holds {len(stream)} tokens, fewer than one block of {block + 1}"):
            list(pack_blocks(documents, block))
        return
    blocks = list(pack_blocks(documents, block))
    assert all(len(ids) == block + 1 for ids in blocks)
    whole = (len(stream) - 1) // block
    for i in range(whole):
        assert blocks[i].tolist() == stream[i * block : i * block + block + 1]
    if (len(stream) - 1) % block:
        assert len(blocks) == whole + 1
        assert blocks[-1].tolist() == stream[-block - 1 :]
    else:
        assert len(blocks) == whole


def test_stream_packs_anew_each_time_and_starts_again_at_the_end():
    rows = [{"input_ids": [1, 2, 3]}, {"input_ids": [4, 5]}]
    once = BlockStream(rows, 2, repeat=False)
    for _ in range(2):
        assert [row["input_ids"].tolist() for row in once] == [[1, 2, 3], [3, 4, 5]]
    five = [row["input_ids"].tolist() for row in islice(BlockStream(rows, 2), 5)]
    assert five == [[1, 2, 3], [3, 4, 5]] * 2 + [[1, 2, 3]]


def test_workers_without_a_share_yield_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"input_ids": [1, 2, 3, 4, 5]}\n')
    stream = BlockStream(load_documents(str(path), streaming=True), 2, repeat=False)
    loader = torch.utils.data.DataLoader(stream, batch_size=None, num_workers=2)
    assert [row["input_ids"].tolist() for row in loader] == [[1, 2, 3], [3, 4, 5]]


def test_blocks_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="blocks of 2 and of 3 ids in one batch"):
        collate_blocks([{"input_ids": [1, 2]}, {"input_ids": [1, 2, 3]}])


def test_collate_shifts_the_labels():
    batch = collate_blocks([{"input_ids": np.array([1, 2, 3], dtype=np.int32)}, {"input_ids": [4, 5, 6]}])
    assert batch["input_ids"].tolist() == [[1, 2], [4, 5]]
    assert batch["shift_labels"].tolist() == [[2, 3], [5, 6]]
