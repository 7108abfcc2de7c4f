import pytest

from pico_maml.trainers import InputError
from pico_maml.trainers.model_name import ModelName


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lab/pico", ("lab/pico", None, "")),
        ("lab/pico@step-10", ("lab/pico", "step-10", "")),
        ("lab/pico@runs/second", ("lab/pico", "runs/second", "")),
        ("lab/pico:checkpoints/step_10", ("lab/pico", None, "checkpoints/step_10")),
        ("lab/pico@v1:checkpoints/step_10", ("lab/pico", "v1", "checkpoints/step_10")),
    ],
)
def test_hub_name_with_revision_and_subfolder_is_parsed(text, expected):
    assert ModelName.parse(text) == expected


def test_path_that_exists_is_a_folder(tmp_path):
    odd = tmp_path / "run@home:2"
    odd.mkdir()
    assert ModelName.parse(str(odd)) == (str(odd), None, "")
    assert ModelName.parse("lab/pico", "step-3").revision == "step-3"


@pytest.mark.parametrize("text", ["lab/pico@", "lab/pico:", "@step-1", "lab/pico@a@b"])
def test_incomplete_name_raises(text):
    with pytest.raises(InputError, match=r"a folder or user/name\[@revision\]\[:subfolder\]"):
        ModelName.parse(text)


def test_two_revisions_raise():
    with pytest.raises(InputError, match="names the revision 'a', and revision 'b' another: give one"):
        ModelName.parse("lab/pico@a", "b")
