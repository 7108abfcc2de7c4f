import numpy as np
import pytest
from report_runs import write_dynamics, write_run

from pico_maml.recipes.report.analysis.phase_statements import phase_statements
from pico_maml.recipes.report.analysis.phases import analyse_runs, false_alarms
from pico_maml.recipes.report.analysis.tables import phase_table
from pico_maml.trainers.runs.reader import load_run

KNEE = "Proportional effective rank of weights, attention.v_proj, layer 1"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run with episodes whose ranks rise and fall, and two vanilla runs: one with the same knees, one without."""
    root = tmp_path_factory.mktemp("runs")
    loaded = {"demo": load_run(write_run(root / "demo", dynamics=True), "demo")}
    for label, rise in (("kneed", 0.2), ("falling", -0.1)):
        write_run(root / label, episodes=False, seed=1)
        write_dynamics(root / label, 300, np.random.default_rng(2), rise)
        loaded[label] = load_run(root / label, label)
    return loaded


def curve(analysed, run="demo", name=KNEE):
    return next(each for each in analysed if (each.run, each.name) == (run, name))


def test_a_phase_may_be_the_methods_only_when_the_vanilla_curve_has_none(runs):
    for label, vanilla in (("kneed", "phases"), ("falling", "none")):
        analysed = analyse_runs([runs["demo"], runs[label]])
        assert curve(analysed).phases.change_points
        assert curve(analysed).vanilla == vanilla
        assert curve(analysed, label).vanilla == ""
        origin = next(text for text in phase_statements([runs["demo"]], analysed, None, {}) if "learning rate" in text)
        assert ("may be the method's: " in origin) == (vanilla == "none")


def test_without_a_vanilla_run_no_phase_is_the_methods(runs):
    analysed = analyse_runs([runs["demo"]])
    assert curve(analysed).vanilla == ""
    texts = phase_statements([runs["demo"]], analysed, false_alarms(analysed), {})
    assert "No vanilla run with the same curves is at hand" in texts[1]
    assert texts[2].startswith("False alarms, measured for this report on 120 curves of 31 points")


def test_the_learning_rate_stands_beside_each_curve_and_each_phase(runs):
    analysed = analyse_runs([runs["demo"]])
    assert curve(analysed).data["rate"].tolist()[1:] == pytest.approx([1e-3 * (1 - i / 30) for i in range(1, 31)])
    row = phase_table([curve(analysed)]).iloc[0]
    assert row["learning rate"] == "explains none of 1"
    assert row["phases"].startswith("peak at ")
    assert row["knee"] != "none found"


def test_phases_of_a_run_that_logged_no_learning_rate_say_so(runs, tmp_path):
    folder = write_run(tmp_path / "old", dynamics=True)
    metrics = (folder / "metrics.jsonl").read_text().replace('"learning_rate"', '"other"')
    (folder / "metrics.jsonl").write_text(metrics)
    old = load_run(folder, "old")
    analysed = analyse_runs([old])
    assert phase_table([curve(analysed, "old")]).iloc[0]["learning rate"] == "not logged"
    assert "was not logged: it may explain" in phase_statements([old], analysed, None, {})[1]
