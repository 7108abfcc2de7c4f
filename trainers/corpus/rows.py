"""What rows of a corpus must hold: a text, or token ids of the vocabulary."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InputError

IDS = "input_ids"
MOST_IDS = 2**31


def checked(table: pa.Table, content: str, vocab_size: int | None, place: Callable[[int], str]) -> pa.Table:
    """The table with its column `content` as strings or, if it is `input_ids`, as lists of int32.

    Args:
        content: the column of the texts, or `input_ids`.
        vocab_size: ids must be below it (None: any id).
        place: the name of a row in an error, from its index in the table.

    Raises:
        InputError: a row is empty (null), no string, or holds something that is no token id.
    """
    column = table.column(content)
    check = _check_ids if content == IDS else _check_texts
    array = column.combine_chunks()
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    if array.null_count:
        row = pc.index(pc.is_null(array), pa.scalar(True)).as_py()
        raise InputError(f"{place(row)} is empty (null): remove such rows")
    return table.set_column(table.column_names.index(content), content, check(array, content, vocab_size, place))


def check_ids(ids: np.ndarray, vocab_size: int | None, place: str) -> np.ndarray:
    """The (L,) ids of a row as int32; InputError if one is null, fractional, negative or not below `vocab_size`."""
    if ids.dtype.kind not in "iu" or (len(ids) and not 0 <= ids.min() <= ids.max() < (vocab_size or MOST_IDS)):
        values = pa.array([ids.tolist()])
        return _check_ids(values, IDS, vocab_size, lambda _: place).values.to_numpy()
    return ids.astype(np.int32)


def check_document_numbers(column: pa.ChunkedArray, place: Callable[[int], str]) -> None:
    """Raise InputError if a row with several documents (see `with_documents`) holds what is no whole number."""
    array = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
    if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
        return  # a label for the row
    values = array.flatten()
    if pa.types.is_integer(values.type) and not values.null_count:
        return
    if pa.types.is_floating(values.type):
        bad = pc.fill_null(pc.not_equal(values, pc.floor(values)), True)
    else:
        bad = pc.is_null(values) if pa.types.is_integer(values.type) else pa.array([True] * len(values), pa.bool_())
    first = pc.index(bad, pa.scalar(True)).as_py()
    if first >= 0:
        raise InputError(
            f"{place(pc.list_parent_indices(array)[first].as_py())} holds {values[first].as_py()!r} in the column "
            "document: give each id a whole number, or the row one label"
        )


def _check_texts(array: pa.Array, content: str, _: int | None, place: Callable[[int], str]) -> pa.Array:
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        if not len(array):
            return pa.array([], pa.string())
        raise InputError(
            f"{place(0)}: the column {content!r} holds {kind}, not string: convert it, or set text_column to another"
        )
    return array.cast(pa.string())


def _check_ids(array: pa.Array, content: str, vocab_size: int | None, place: Callable[[int], str]) -> pa.Array:
    wanted = pa.list_(pa.int32())
    if not len(array):
        return pa.array([], wanted)
    lists = pa.types.is_list(array.type) or pa.types.is_large_list(array.type)
    if pa.types.is_fixed_size_list(array.type):
        array, lists = array.cast(pa.list_(array.type.value_type)), True
    kind = array.type.value_type if lists else array.type
    if pa.types.is_null(kind) and not len(array.flatten()):  # empty lists alone
        return array.cast(wanted)
    if not lists or not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise InputError(f"{place(0)}: the column {content!r} holds {array.type}, not lists of whole numbers")
    values = array.flatten()
    limit = vocab_size or MOST_IDS
    bad = pc.or_(pc.is_null(values), pc.fill_null(_out_of_range(values, limit), True))
    first = pc.index(bad, pa.scalar(True)).as_py()
    if first >= 0:
        row = pc.list_parent_indices(array)[first].as_py()
        value = values[first].as_py()
        raise InputError(
            f"{place(row)} holds {'null' if value is None else value} among its input_ids, which must be whole "
            f"numbers from 0 to {limit - 1}"
            + (" (vocab_size - 1): give the tokenizer and vocab_size of the corpus, or " if vocab_size else ": ")
            + "prepare it again"
        )
    return array.cast(wanted)


def _out_of_range(values: pa.Array, limit: int) -> pa.Array:
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), pa.bool_())
    outside = pc.or_(pc.less(values, 0), pc.greater_equal(values, limit))
    if pa.types.is_floating(values.type):  # a whole number, as pandas writes a column that once held a null, is an id
        return pc.or_(outside, pc.not_equal(values, pc.floor(values)))
    return outside
