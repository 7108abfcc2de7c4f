import pytest
import torch

from pico_maml import PicoForTokenClassification
from pico_maml.trainers import load_treebank
from pico_maml.trainers.ner import label_names


@pytest.fixture
def classifier(config):
    config.max_seq_len = 128
    for name, value in label_names().items():
        setattr(config, name, value)
    torch.manual_seed(0)
    return PicoForTokenClassification(config)


@pytest.fixture
def treebank(tmp_path):
    """Words in capitals are people; anyone can learn that. Sentences have one to five words."""
    rows = [f"{'ab	O' + chr(10)}" * (i % 4) + f"CD\tB-PER\n{'ef' if i % 2 else 'gh'}\tO\n" for i in range(60)]
    path = tmp_path / "capitals.iob2"
    path.write_text("\n".join(rows))
    return load_treebank(str(path))


@pytest.fixture
def people(tmp_path):
    """People, organisations and places, each with words of its own."""
    words = {"PER": "CD", "ORG": "EF", "LOC": "GH"}
    rows = [
        f"{'ab	O' + chr(10)}" * (i % 3) + f"{words[label]}\tB-{label}\nef\tO\n"
        for i in range(30)
        for label in words
    ]
    path = tmp_path / "people.iob2"
    path.write_text("\n".join(rows))
    return load_treebank(str(path))
