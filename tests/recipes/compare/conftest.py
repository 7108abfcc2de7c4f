"""A study with three arms, as its YAML file gives it."""

from typing import Any

import pytest

from pico_maml.recipes.compare.arguments import CompareArguments
from pico_maml.recipes.compare.study import Study


@pytest.fixture
def entries() -> dict[str, Any]:
    return {
        "output_dir": "out",
        "question": "Do episodes help?",
        "base": ["demo"],
        "arguments": {"held_out_rule": "form"},
        "arms": {
            "vanilla": {"arguments": {"hybrid_ratio": "0"}},
            "added": {"recipes": ["episodes/added"], "control": "vanilla"},
            "paper": {"recipes": ["episodes/paper"], "control": ["vanilla", "added"]},
        },
        "measures": {"loss": "0.01", "prototypes": "0.02"},
        "adaptation": {"episodes": "20"},
        "primary": ["added vs vanilla: loss"],
        "seeds": [1, 2, 3],
    }


@pytest.fixture
def new_study(entries):
    """Returns a study with some entries replaced."""

    def new(**changes: Any) -> Study:
        return Study.of(CompareArguments(**entries | changes))

    return new


@pytest.fixture
def study(new_study) -> Study:
    return new_study()
