import pytest

from pico_maml.trainers import InputError
from pico_maml.trainers.meta.crossed_interval import crossed_interval
from pico_maml.trainers.meta.query_outcomes import compare_outcomes, comparison_line

WORDS, DOCUMENTS = [1, 1, 2, 2, 3, 3], [0, 1, 0, 1, 0, 1]
RIGHT, BASE = [1, 1, 0, 1, 0, 1], [1, 0, 1, 0, 0, 0]


def outcomes(**right: list[int]) -> dict[str, list[int]]:
    return {"word": WORDS, "document": DOCUMENTS, **right}


def test_difference_is_paired_by_query_and_crossed_over_words_and_documents():
    found = compare_outcomes(outcomes(fresh=RIGHT, trained=RIGHT), outcomes(fresh=BASE, prototypes=RIGHT))
    assert list(found) == ["fresh"], "only what both have"
    assert found["fresh"].mean == pytest.approx(4 / 6 - 2 / 6)
    assert found["fresh"] == crossed_interval([0, 1, -1, 1, 0, 1], WORDS, DOCUMENTS)
    assert compare_outcomes(outcomes(fresh=RIGHT), outcomes(fresh=RIGHT))["fresh"].high == 0


def test_line_has_shape_and_points():
    found = compare_outcomes(outcomes(fresh=RIGHT), outcomes(fresh=BASE))
    assert comparison_line({"n_way": 3, "k_shot": 1}, found).startswith("3-way 1-shot: fresh +33.3 [")


@pytest.mark.parametrize("changed", [{"word": [1, 1, 2, 2, 3, 4]}, {"document": [0, 1, 0, 1, 0]}])
def test_other_queries_are_an_error(changed):
    with pytest.raises(InputError, match="of other queries: evaluate both models with the same text"):
        compare_outcomes(outcomes(fresh=RIGHT), outcomes(fresh=RIGHT) | changed)
