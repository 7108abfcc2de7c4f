import pytest
from datasets import Dataset
from datasets.exceptions import DatasetGenerationError
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import first_texts, load_tokenizer, make_blocks, train_tokenizer
from pico_maml.trainers.corpus.tokenizer import trained_tokenizer


def test_trained_tokenizer_is_lossless_after_saving_and_loading(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "  Ünïcode, 中文 and\n\ttabs  "
    assert loaded.decode(loaded(text)["input_ids"]) == text
    assert (loaded.eos_token, loaded.pad_token, loaded.mask_token) == ("<|endoftext|>", "<|padding|>", "[MASK]")
    assert len(loaded) == len(tokenizer) == 400


@pytest.mark.parametrize(
    ("sentence", "words"), [("ab cd  ef", [(0, 2), (3, 5), (7, 9)]), (" ab cd", [(1, 3), (4, 6)])]
)
def test_a_word_is_cut_out_without_the_space_before_it(tokenizer, sentence, words):
    assert set(words) <= set(tokenizer(sentence, return_offsets_mapping=True)["offset_mapping"])


def test_a_tokenizer_without_mask_token_gets_one(tokenizer, tmp_path):
    maskless = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, eos_token="<|endoftext|>")
    maskless.save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).mask_token == "[MASK]"


def test_small_vocabulary_missing_tokenizer_and_no_end_of_text_are_errors(tmp_path, tokenizer):
    with pytest.raises(InputError, match="vocab_size 100 is too small"):
        train_tokenizer(["text"], 100)
    with pytest.raises(InputError, match="no tokenizer at"):
        load_tokenizer(str(tmp_path / "nothing"))
    endless = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer)
    endless.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has no end-of-text token"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize("streaming", [False, True])
def test_names_of_control_tokens_in_a_text_are_text(tokenizer, streaming):
    text = "ab [MASK] cd<|endoftext|> ef <|padding|>"
    rows = Dataset.from_dict({"text": [text]})
    documents = rows.to_iterable_dataset() if streaming else rows
    blocks = [row["input_ids"].tolist() for row in make_blocks(documents, tokenizer, 4, repeat=False)]
    # The last block overlaps the one before.
    ids = [i for block in blocks[:-1] for i in block[:-1]]
    ids += blocks[-1][-(len(tokenizer(text, split_special_tokens=True)["input_ids"]) + 1 - len(ids)) :]
    assert [i for i in ids if i in tokenizer.all_special_ids] == [tokenizer.eos_token_id]
    assert tokenizer.decode(ids) == text + "<|endoftext|>"
    (first,) = first_texts(documents, tokenizer, 1, 99)
    assert first.tolist() == ids[:-1]
    assert not set(tokenizer.all_special_ids) & set(first.tolist())


def test_a_tokenizer_is_trained_once_on_the_same_documents(text, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    documents = Dataset.from_dict({"text": text})
    plain, first = train_tokenizer(text, 300), trained_tokenizer(documents, 300)
    monkeypatch.setattr("pico_maml.trainers.corpus.tokenizer.bpe_trainers.BpeTrainer", None)
    again = trained_tokenizer(documents, 300)
    assert plain.backend_tokenizer.to_str() == first.backend_tokenizer.to_str() == again.backend_tokenizer.to_str()
    assert (again.eos_token, again.pad_token, again.mask_token) == (plain.eos_token, plain.pad_token, plain.mask_token)
    for other in ((documents, 301), (documents.select(range(40)), 300)):
        with pytest.raises(DatasetGenerationError):
            trained_tokenizer(*other)
