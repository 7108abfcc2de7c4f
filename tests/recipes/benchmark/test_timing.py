import numpy as np

from pico_maml.recipes.benchmark.timing import in_turn, ratio


def test_ratio_compares_times_of_the_same_round():
    timings = {"a": np.array([[2, 4], [30, 3], [4, 2]]), "b": np.array([[1, 2], [10, 2], [2, 2]])}
    compared = ratio(timings, "a", "b")
    assert (compared["wall"], compared["cpu"]) == (2, 1.5)
    assert (compared["wall_quartiles"], compared["cpu_quartiles"]) == ([2, 3], [1, 2])


def test_tasks_run_in_turn_after_a_warm_up_round():
    order: list[str] = []
    timings = in_turn({name: lambda name=name: order.append(name) for name in "ab"}, 2)
    assert order == ["a", "b"] * 3
    assert [runs.shape for runs in timings.values()] == [(2, 2), (2, 2)]
