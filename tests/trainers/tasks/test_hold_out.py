"""Which classes training has."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pico_maml.trainers import InputError
from pico_maml.trainers.tasks.config import TaskConfig
from pico_maml.trainers.tasks.files import Labelled
from pico_maml.trainers.tasks.hold_out import count_texts, merged, training_classes

COUNTS = {"a": {"x": 9, "y": 9}, "b": {"v": 9, "w": 9, "x": 9, "y": 9, "z": 2}, "c": {"x": 9, "y": 9, "z": 9}}


def config(tasks=(), classes=0.0) -> TaskConfig:
    return TaskConfig(["f"], 0.5, held_out_tasks=list(tasks), held_out_task_classes=classes)


def test_texts_are_counted_once():
    rows = [Labelled("t", "x", "ab"), Labelled("t", "x", "ab"), Labelled("t", "x", "cd"), Labelled("t", "y", "ab")]
    rows += [Labelled("n", "x", ("ab", "cd"), 1), Labelled("n", "x", ("ab", "cd"), 2)]
    assert count_texts(rows) == {"t": {"x": 2, "y": 1}, "n": {"x": 1}}


def test_named_tasks_and_rare_classes_are_left_out():
    assert training_classes(COUNTS, config(["c"]), 3) == {"a": ["x", "y"], "b": ["v", "w", "x", "y"]}


@settings(max_examples=50)
@given(st.floats(0.01, 0.99), st.integers(2, 9), st.floats(0.01, 1.0))
def test_a_share_holds_out_some_and_leaves_some(share, tasks, classes):
    counts = {f"t{i}": {f"c{j}": 9 for j in range(i + 2)} for i in range(tasks)}
    held_out = counts.keys() - training_classes(counts, config([str(share)]), 3).keys()
    assert len(held_out) == min(max(round(share * tasks), 1), tasks - 1)
    if tasks > 2:  # the third task has four classes
        for task, labels in training_classes(counts, config(classes=classes), 3).items():
            all_of_it = len(counts[task])
            assert len(labels) == all_of_it or (all_of_it >= 4 and 2 <= len(labels) <= all_of_it - 2)


def test_what_is_held_out_does_not_depend_on_the_order_or_on_other_tasks():
    backwards = {task: dict(reversed(classes.items())) for task, classes in reversed(COUNTS.items())}
    for wanted in (config(classes=0.4), config(["0.4"])):
        assert training_classes(COUNTS, wanted, 3) == training_classes(backwards, wanted, 3)
    more = training_classes(COUNTS | {"d": COUNTS["b"]}, config(classes=0.4), 3)
    assert more["b"] == training_classes(COUNTS, config(classes=0.4), 3)["b"]
    assert more["b"] != more["d"], "other tasks hold out other classes, under the same names too"


@pytest.mark.parametrize(
    ("counts", "wanted", "examples", "message"),
    [
        ({"a": {"x": 9}}, config(), 3, r"task 'a' has the class 'x' alone"),
        (COUNTS, config(), 10, r"task 'a' needs two classes of k_shot \+ n_query = 10 different texts.* has x 9, y 9"),
        (COUNTS, config(["bb"]), 3, r"no task 'bb' in task_files: there is b"),
        (COUNTS, config(["a", "b", "c"]), 3, r"holds out all 3 tasks"),
        (COUNTS, config(["1.5"]), 3, r"names of tasks or a share between 0 and 1, got 1.5"),
        ({"a": COUNTS["a"]}, config(["0.5"]), 3, r"there is only the task 'a'"),
        ({"a": COUNTS["a"]}, config(classes=0.5), 3, r"held_out_task_classes 0.5 has no effect: no task has the 4"),
    ],
)
def test_what_cannot_be_is_an_error(counts, wanted, examples, message):
    with pytest.raises(InputError, match=message):
        training_classes(counts, wanted, examples)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task_files": ["f"]}, "task_share is 0"),
        ({"task_share": 0.3}, "task_share has no effect without task_files"),
        ({"held_out_tasks": ["a"]}, "held_out_tasks has no effect without task_files"),
        ({"task_files": ["f"], "task_share": 1.5}, "task_share must be between 0 and 1, got 1.5"),
        ({"task_files": ["f"], "task_share": 0.5, "task_window": 1}, "task_window must be at least 2, got 1"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        TaskConfig(**arguments)


def test_a_run_that_goes_on_has_the_classes_of_both():
    assert merged({"a": ["x"]}, {"a": ["y", "x"], "b": ["z"]}) == {"a": ["x", "y"], "b": ["z"]}
