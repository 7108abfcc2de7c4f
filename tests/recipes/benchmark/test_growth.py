import sys

import pytest

from pico_maml.recipes.benchmark import growth
from pico_maml.recipes.benchmark.growth import FACTORS, exponent, growth_table, measure_growth


def test_exponents_are_those_of_the_last_two_values():
    assert exponent([1, 2, 4], [7.0, 10.0, 40.0]) == pytest.approx(2)
    assert exponent([10, 100], [3.0, 3.0]) == 0


def test_every_factor_is_measured_at_each_of_its_values_and_shown(monkeypatch):
    asked = []

    def cost(factor, value, rounds):
        asked.append((factor, value, rounds))
        return 0.5 * value, 1000 * value**2

    monkeypatch.setattr(growth, "_in_new_process", cost)
    measured = measure_growth(5)["growth"]
    assert asked == [(name, value, 5) for name, factor in FACTORS.items() for value in factor.values]
    assert measured["depth"]["cpu_seconds"] == [1.5, 3.0, 6.0, 12.0]
    assert measured["depth"]["time"] == pytest.approx(1)
    assert measured["depth"]["memory"] == pytest.approx(2)
    lines = growth_table(measured).splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(FACTORS)
    assert "1.50 to 12.00" in growth_table(measured)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_size_is_measured_in_a_process_of_its_own():
    seconds, peak = growth._in_new_process("shots", 1, 3)
    assert 0 < seconds < 60
    assert peak > 2**20


@pytest.mark.parametrize("factor", ["runs", "depth"])
def test_jobs_do_what_their_factor_says(tmp_path, factor):
    job = FACTORS[factor].job(1, tmp_path)
    assert job() is not None
    if factor == "runs":
        assert (tmp_path / "page" / "index.html").exists()
