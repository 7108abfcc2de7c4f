import pytest
from datasets import Dataset

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import first_texts


def test_texts_are_the_documents_cut_to_a_length_without_end_of_text(tokenizer):
    documents = Dataset.from_dict({"text": ["ab cd", "ab " * 50, "", "cd ef"]})
    first, cut, last = first_texts(documents, tokenizer, 10, 7)
    assert first.tolist() == tokenizer("ab cd", add_special_tokens=False)["input_ids"]
    assert cut.tolist() == tokenizer("ab " * 50, add_special_tokens=False)["input_ids"][:7]
    assert last.tolist() == tokenizer("cd ef", add_special_tokens=False)["input_ids"], "the empty one is skipped"
    assert len(first_texts(documents, tokenizer, 2, 7)) == 2


def test_rows_of_token_ids_are_texts_without_their_end_of_text(tokenizer):
    end = tokenizer.eos_token_id
    rows = Dataset.from_dict({"input_ids": [[5, 6, 7, end], [5, 6, 7, 8, 9, end], [5, end], [8, 9]]})
    assert [ids.tolist() for ids in first_texts(rows, tokenizer, 9, 4)] == [[5, 6, 7], [5, 6, 7, 8], [8, 9]]


def test_a_missing_text_raises(tokenizer):
    with pytest.raises(InputError, match="a row of the corpus is empty"):
        first_texts(Dataset.from_dict({"text": ["ab", None]}), tokenizer, 9, 4)
