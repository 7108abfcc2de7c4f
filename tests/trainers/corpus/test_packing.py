import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import collate_blocks, first_blocks, pack_blocks
from pico_maml.trainers.corpus.document_numbers import Tokens

documents = st.lists(st.lists(st.integers(0, 1000), min_size=0, max_size=30), min_size=1, max_size=20)


def rows(documents) -> list[Tokens]:
    """Each document with its place as its number."""
    return [
        {"input_ids": np.array(ids, dtype=np.int32), "document": np.full(len(ids), number, dtype=np.int32)}
        for number, ids in enumerate(documents)
    ]


@given(documents=documents, block=st.integers(1, 12))
def test_every_token_is_predicted_and_only_the_last_block_repeats_any(documents, block):
    stream = [token for document in documents for token in document]
    if len(stream) < block + 1:
        with pytest.raises(InputError, match=f"holds {len(stream)} tokens, fewer than one block of {block + 1}"):
            list(pack_blocks(rows(documents), block))
        return
    blocks = list(pack_blocks(rows(documents), block))
    assert all(len(tokens["input_ids"]) == len(tokens["document"]) == block + 1 for tokens in blocks)
    numbers = [number for number, document in enumerate(documents) for _ in document]
    whole = (len(stream) - 1) // block
    for name, expected in (("input_ids", stream), ("document", numbers)):
        for i in range(whole):
            assert blocks[i][name].tolist() == expected[i * block : i * block + block + 1]
        if (len(stream) - 1) % block:
            assert len(blocks) == whole + 1
            assert blocks[-1][name].tolist() == expected[-block - 1 :]
        else:
            assert len(blocks) == whole


def test_collating_blocks_of_different_lengths_is_an_error():
    with pytest.raises(InputError, match="blocks of 2 and of 3 ids in one batch"):
        collate_blocks([{"input_ids": [1, 2]}, {"input_ids": [1, 2, 3]}])


def test_collating_shifts_the_labels_by_one():
    batch = collate_blocks([{"input_ids": np.array([1, 2, 3], dtype=np.int32)}, {"input_ids": [4, 5, 6]}])
    assert batch["input_ids"].tolist() == [[1, 2], [4, 5]]
    assert batch["shift_labels"].tolist() == [[2, 3], [5, 6]]


def test_collating_cuts_the_documents_like_the_ids():
    block = {"input_ids": np.array([1, 2, 3], dtype=np.int32), "document": np.array([7, 7, 9], dtype=np.int32)}
    batch = collate_blocks([block, block])
    assert batch["document"].tolist() == [[7, 7], [7, 7]]


def test_first_blocks_have_the_document_of_each_id():
    ids, documents = first_blocks(pack_blocks(rows([[1, 2], [3, 4, 5], [6]]), 2), 2)
    assert ids.tolist() == [[1, 2, 3], [3, 4, 5]]
    assert documents.tolist() == [[0, 0, 1], [1, 1, 1]]


def test_first_blocks_without_the_column_are_documents_of_their_own():
    ids, documents = first_blocks([{"input_ids": [1, 2]}, {"input_ids": [3, 4]}, {"input_ids": [1, 2]}], 5)
    assert ids.tolist() == [[1, 2], [3, 4], [1, 2]]
    (first, same), (second, _), copy = documents.tolist()
    assert first == same != second
    assert copy == [first, same], "a copy is the same document"


def test_reading_the_first_of_no_blocks_is_an_error():
    with pytest.raises(InputError, match="holds no block"):
        first_blocks([], 5)
