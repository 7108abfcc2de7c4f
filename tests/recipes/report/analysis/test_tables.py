import json

import pandas as pd
import pytest
from report_runs import write_run

from pico_maml.callbacks.phases.across_runs import MINIMUM_RUNS
from pico_maml.callbacks.phases.curve import ChangePoint, CurvePhases, Estimate
from pico_maml.recipes.report.analysis.phases import AnalysedCurve
from pico_maml.recipes.report.analysis.tables import relations, summary_table
from pico_maml.recipes.report.dynamics import ALL_MODULES, Kind
from pico_maml.trainers.runs.charts import RANKED
from pico_maml.trainers.runs.reader import load_run

LABELS = [str(i) for i in range(MINIMUM_RUNS)]


@pytest.fixture
def summary(tmp_path):
    """The summary of runs with an NER model in their folder, all with the same F1."""
    runs = []
    for label in LABELS:
        folder = write_run(tmp_path / label, steps=10)
        (folder / "ner").mkdir()
        ner = {"treebank": "da_ddt", "scores": {"test": {"f1": 0.5, "support": 9}}, "baselines": {"gazetteer": 0.3}}
        (folder / "ner" / "results.json").write_text(json.dumps(ner))
        runs.append(load_run(folder, label))
    return summary_table(runs)


def curve_with_knee(label, step):
    at = Estimate(step, step, step)
    phases = CurvePhases(50, change_points=[ChangePoint("peak", at, at, at, 0.01)])
    return AnalysedCurve(label, Kind(RANKED, ""), ALL_MODULES, -1, "ranks", pd.DataFrame(), phases)


def test_knees_are_related_to_f1_of_sweeps_before_f1_of_the_run_folder(summary):
    analysed = [curve_with_knee(label, 10.0 * float(label)) for label in LABELS]
    assert list(summary["NER F1"]) == [0.5] * MINIMUM_RUNS
    of_folders = relations(summary, analysed, {})["ranks", "downstream F1"]
    assert of_folders.note == "one of the two is the same in all runs"
    of_sweeps = relations(summary, analysed, {label: -float(label) for label in LABELS})["ranks", "downstream F1"]
    assert of_sweeps.correlation is not None
    assert of_sweeps.correlation.value == pytest.approx(-1)


def test_a_run_without_a_knee_does_not_count(summary):
    analysed = [curve_with_knee(label, 10.0) for label in LABELS[1:]]
    assert relations(summary, analysed, {})["ranks", "downstream F1"].runs == MINIMUM_RUNS - 1
