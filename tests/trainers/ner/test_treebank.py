import pytest

from pico_maml.trainers import InputError, load_treebank

GOOD = "1\tAnn\tB-PER\t-\t-\n2\tsaw\tB-O\t-\t-\n\n1\tRio\tB-LOC\t-\t-\n2\tX\tI-OTH\t-\t-\n"


def write(tmp_path, content: str, name: str):
    path = tmp_path / name
    path.write_text(content)
    return path


def test_treebanks_load_by_name_folder_file_and_as_sample(tmp_path):
    for split in ("train", "dev"):
        write(tmp_path, GOOD, f"xx_yy-ud-{split}.iob2")
    by_name = load_treebank("xx_yy", tmp_path)
    by_folder = load_treebank(str(tmp_path))
    assert set(by_name) == set(by_folder) == {"train", "validation"}
    assert by_name["train"].features["ner_tags"].feature.names[1] == "B-PER"
    single = load_treebank(str(write(tmp_path, "Ann\tB-PER\n\n" * 20, "single.iob2")))
    assert {split: len(rows) for split, rows in single.items()} == {"train": 16, "validation": 2, "test": 2}
    assert {split: len(rows) for split, rows in load_treebank("sample").items()} == {
        "train": 240,
        "validation": 80,
        "test": 80,
    }


def test_a_treebank_name_is_no_pattern(tmp_path):
    write(tmp_path, GOOD * 2, "xx_y-ud-train.iob2")
    write(tmp_path, GOOD, "xx_[xyz]-ud-train.iob2")
    assert len(load_treebank("xx_[xyz]", tmp_path)["train"]) == 2
    with pytest.raises(InputError, match=r"no file xx_\*-ud"):
        load_treebank("xx_*", tmp_path)


def test_dev_split_without_a_tenth_sentence_is_not_split(tmp_path):
    path = tmp_path / "xx-ud-dev.iob2"
    path.write_text("ab\tB-PER\n\n" * 9)
    with pytest.raises(InputError, match="only 9 sentences in the dev split: split_dev needs at least 10"):
        load_treebank(str(tmp_path), split_dev=True)
    path.write_text("ab\tB-PER\n\n" * 10)
    splits = load_treebank(str(tmp_path), split_dev=True)
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 9, "validation": 1}


def test_unknown_names_suggest_the_nearest_and_short_files_are_errors(tmp_path):
    write(tmp_path, GOOD, "xx_own-ud-train.iob2")
    with pytest.raises(InputError, match=r"did you mean 'xx_own'\?"):
        load_treebank("xx_onw", tmp_path)
    with pytest.raises(InputError, match=r"no treebank, file or folder 'da_dtt': did you mean 'da_ddt'\?"):
        load_treebank("da_dtt")
    with pytest.raises(InputError, match="the treebanks are da_ddt, en_ewt"):
        load_treebank("9999")
    with pytest.raises(InputError, match="no folder"):
        load_treebank("da_ddt", tmp_path / "nothing")
    with pytest.raises(InputError, match="needs at least 10"):
        load_treebank(str(write(tmp_path, GOOD, "short.iob2")))
