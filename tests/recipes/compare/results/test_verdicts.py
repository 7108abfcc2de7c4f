import numpy as np
import pytest

from pico_maml.recipes.compare.results.entities import f1
from pico_maml.recipes.compare.results.verdicts import verdicts


def results(differences: dict[str, list[float]], spread: float = 0.1) -> list[dict]:
    """Results of seeds 1, 2, ...: a loss that varies by seed, and that of each arm so much beside vanilla's."""
    seeds = range(1, 1 + len(next(iter(differences.values()))))
    generator = np.random.default_rng(0)
    base = 4 + spread * generator.normal(size=len(seeds))
    arms = {"vanilla": [0.0] * len(seeds)} | differences
    return [
        {"arm": arm, "seed": seed, "share": 1.0, "values": {"loss": base[i] + arms[arm][i], "prototypes": 0.2}}
        for arm in arms
        for i, seed in enumerate(seeds)
    ]


def test_differences_are_paired_by_seed(study):
    found = results({"added": [-0.05, -0.06, -0.055], "paper": [0.5, 0.6, 0.4]})
    table = verdicts(study, reversed(found)).set_index(["arm", "control", "measure"])
    added = table.loc["added", "vanilla", "loss"]
    assert added["differences"] == pytest.approx((-0.05, -0.06, -0.055))
    assert (added["seeds"], added["primary"], added["verdict"]) == (3, True, "better")
    assert table.loc["paper", "vanilla", "loss"]["mean"] == pytest.approx(0.5)
    assert table.loc["paper", "vanilla", "prototypes"]["verdict"] == "identical"


def test_primary_tests_are_corrected_among_themselves(new_study):
    found = results({"added": [-0.05, -0.06, -0.055], "paper": [0.5, 0.6, 0.4]})
    study = new_study(primary=["added vs vanilla: loss", "paper vs vanilla: loss"])
    table = verdicts(study, found)
    primary, exploratory = table[table["primary"]], table[~table["primary"]]
    assert primary["p_adjusted"].min() == pytest.approx(2 * primary["p"].min())
    assert exploratory["p_adjusted"].min() == pytest.approx(4 * exploratory["p"].min())


def test_a_run_that_is_missing_or_part_of_the_budget_is_no_pair(study):
    found = results({"added": [-0.05, -0.06, -0.055], "paper": [0.5, 0.6, 0.4]})
    found = [entry for entry in found if (entry["arm"], entry["seed"]) != ("vanilla", 2)]
    found.append({"arm": "vanilla", "seed": 2, "share": 0.5, "values": {"loss": 0.0}})
    row = verdicts(study, found).iloc[0]
    assert (row["seeds"], row["mean"]) == (2, pytest.approx(-0.0525))


def test_without_any_pair_nothing_is_said(study):
    assert set(verdicts(study, [])["verdict"]) == {"no pair of runs yet"}


def test_f1_is_compared_over_seeds_crossed_with_sentences(new_study):
    """Every seed gains on the same few sentences: seeds alone are certain of it, other sentences might not show it."""
    ner = {"modes": ["head"], "train_on": ["sample"], "evaluate_on": ["sample"]}
    study = new_study(ner=ner, measures={"ner/head/sample": "0.02"}, primary=[])
    correct = np.arange(60) % 2
    gain = (np.arange(60) % 20 == 0).astype(int)

    def entities(arm: str, seed: int) -> np.ndarray:
        hits = correct + gain * (arm == "added") + (np.arange(60) == 11 + 2 * seed)
        return np.stack([hits, np.full(60, 2), np.full(60, 2)], axis=-1)[None]

    counts = {(arm, seed): {"ner/head/sample": entities(arm, seed)} for arm in study.arms for seed in study.args.seeds}
    found = [
        {"arm": arm, "seed": seed, "share": 1.0, "values": f1(measures)} for (arm, seed), measures in counts.items()
    ]
    alone, crossed = (verdicts(study, found, each).iloc[0] for each in (None, counts))
    assert alone["mean"] == pytest.approx(crossed["mean"]) == pytest.approx(gain.sum() / 120)
    assert (alone["sentences"], crossed["sentences"]) == (0, 60)
    assert (alone["low"], alone["verdict"]) == (pytest.approx(alone["mean"]), "better")
    assert crossed["low"] < 0 < crossed["mean"]
    assert crossed["verdict"].startswith("undecided")


@pytest.fixture
def fast_holm(monkeypatch):
    """statsmodels collects garbage in every correction, which takes longer than all else."""
    monkeypatch.setattr("gc.collect", lambda: 0)


@pytest.mark.slow
@pytest.mark.usefixtures("fast_holm")
@pytest.mark.parametrize("seeds", [3, 5, 8])
@pytest.mark.parametrize("spread", [0.01, 0.1])
def test_any_false_better_in_a_table_without_effects_has_a_chance_of_at_most_5_percent(new_study, seeds, spread):
    study = new_study(seeds=list(range(1, seeds + 1)), measures={"loss": "0.01"})
    generator = np.random.default_rng(seeds)
    false = 0
    for _ in range(2000):
        differences = {arm: list(spread * generator.normal(size=seeds)) for arm in ("added", "paper")}
        table = verdicts(study, results(differences))
        false += bool(table["verdict"].str.startswith("better").any())
    assert false / 2000 < 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5


@pytest.mark.slow
@pytest.mark.usefixtures("fast_holm")
@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_a_known_effect_is_found_as_often_as_the_power_says(new_study, seeds):
    from statsmodels.stats.power import TTestPower

    study = new_study(seeds=list(range(1, seeds + 1)), measures={"loss": "0.01"})
    generator = np.random.default_rng(seeds)
    found = 0
    for _ in range(2000):
        effect = -0.05 + 0.02 * generator.normal(size=seeds)
        table = verdicts(study, results({"added": list(effect), "paper": list(effect)}))
        found += table["verdict"][0].startswith("better")
    power = TTestPower().power(0.05 / 0.02, seeds, 0.05)
    assert found / 2000 == pytest.approx(power, abs=0.03)
