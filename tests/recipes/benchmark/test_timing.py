from pico_maml.recipes.benchmark.timing import Timing, in_turn, ratio


def test_ratio_compares_times_of_the_same_round():
    timings = {"a": [Timing(2, 4), Timing(30, 3), Timing(4, 2)], "b": [Timing(1, 2), Timing(10, 2), Timing(2, 2)]}
    found = ratio(timings, "a", "b")
    assert (found["wall"], found["cpu"]) == (2, 1.5)
    assert found["wall_quartiles"] == [2, 3]


def test_tasks_run_in_turn_after_a_warm_up_round():
    order: list[str] = []
    timings = in_turn({name: lambda name=name: order.append(name) for name in "ab"}, 2)
    assert order == ["a", "b"] * 3
    assert [len(runs) for runs in timings.values()] == [2, 2]
