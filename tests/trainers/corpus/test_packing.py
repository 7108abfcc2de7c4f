import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import collate_blocks, pack_blocks

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


def test_collating_blocks_of_different_lengths_is_an_error():
    with pytest.raises(InputError, match="blocks of 2 and of 3 ids in one batch"):
        collate_blocks([{"input_ids": [1, 2]}, {"input_ids": [1, 2, 3]}])


def test_collating_shifts_the_labels_by_one():
    batch = collate_blocks([{"input_ids": np.array([1, 2, 3], dtype=np.int32)}, {"input_ids": [4, 5, 6]}])
    assert batch["input_ids"].tolist() == [[1, 2], [4, 5]]
    assert batch["shift_labels"].tolist() == [[2, 3], [5, 6]]
