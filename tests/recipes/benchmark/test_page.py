from pico_maml.recipes.benchmark.page import measure_page


def test_pages_are_timed_and_weighed():
    measured = measure_page(1, ((1, 20, 0), (2, 60, 4)))
    small, large = "1 run, 20 logs each", "2 runs, 60 logs each and 4 of dynamics"
    assert list(measured["cpu_seconds"]) == [small, large]
    assert 1e6 < measured["bytes"][small] < measured["bytes"][large] < 10e6
    assert measured["rounds"][small][0] > 0
