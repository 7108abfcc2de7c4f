import json

from report_runs import write_run

from pico_maml.recipes.report.page.axes import axes_note, axis_names, offered_axes
from pico_maml.trainers.runs.reader import AXES, RunData, load_run


def run(folder, rename: str | None = "training_cpu_seconds") -> RunData:
    """A run that logs its compute seconds under another name, or not at all."""
    path = write_run(folder, steps=50) / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        seconds = line.pop("training_cpu_seconds", None)
        if rename and seconds is not None:
            line[rename] = seconds
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return load_run(folder, folder.name)


def test_all_axes_are_offered_with_their_units(tmp_path):
    runs = [run(tmp_path / "a"), run(tmp_path / "b")]
    assert [axis for axis, _ in offered_axes(runs)] == list(AXES)
    assert axis_names(runs)["compute_seconds"] == "CPU seconds of training"
    assert axes_note(runs) == ""


def test_a_run_of_an_earlier_version_is_named_beside_the_axis_it_lacks(tmp_path):
    runs = [run(tmp_path / "a"), run(tmp_path / "old", None)]
    assert "compute_seconds" in dict(offered_axes(runs))
    assert axes_note(runs) == "old has no curves over CPU seconds of training"


def test_an_axis_that_no_run_has_is_not_offered(tmp_path):
    runs = [run(tmp_path / "a", None), run(tmp_path / "b", None)]
    assert "compute_seconds" not in dict(offered_axes(runs))
    assert axes_note(runs) == "a and b have no curves over CPU or GPU seconds"


def test_cpu_and_gpu_seconds_are_not_compared_without_a_word(tmp_path):
    runs = [run(tmp_path / "a"), run(tmp_path / "b", "training_gpu_seconds")]
    assert axis_names(runs)["compute_seconds"] == "CPU or GPU seconds of training"
    assert axes_note(runs) == "CPU seconds of one run and GPU seconds of another do not compare"
