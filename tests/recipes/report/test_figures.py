import json

import pytest
from matplotlib.image import imread
from report_runs import write_run

from pico_maml.recipes.report.figures import run_curves, run_dynamics, save_png
from pico_maml.trainers.runs.reader import load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("figures") / "run", dynamics=True)
    with (folder / "metrics.jsonl").open("a") as file:
        for step in (290, 300):
            file.write(json.dumps({"step": step, "query_accuracy": 0.3, "query_accuracy_before": 0.25}) + "\n")
    return load_run(folder, "run")


def panels(figure):
    return {axes.get_title(): [line.get_label() for line in axes.lines] for axes in figure.axes}


def test_a_card_shows_the_charts_that_the_catalogue_marks(run):
    assert panels(run_curves(run)) == {
        "Next-token loss": ["training", "held-out"],
        "Held-out perplexity": ["held-out"],
        "Query accuracy": ["after the inner loop", "class prototypes", "before the inner loop", "chance"],
        "Query loss": ["Query loss"],
    }
    layers = ["layer 0", "layer 1"]
    assert panels(run_dynamics(run)) == {"Proportional effective rank of weights": layers}


def test_a_line_of_the_dynamics_is_the_mean_of_its_layer(run):
    line = run_dynamics(run).axes[0].lines[1]
    rows = run.dynamics.query("quantity == 'proportional_effective_rank' and objective == '' and layer == 1")
    assert list(line.get_ydata()) == pytest.approx(list(rows.groupby("step")["value"].mean()))


@pytest.mark.parametrize("draw", [run_curves, run_dynamics])
def test_the_same_run_gives_the_same_bytes(run, tmp_path, draw):
    assert save_png(draw(run), tmp_path / "figures" / "a.png")
    assert save_png(draw(run), tmp_path / "b.png")
    assert (tmp_path / "figures" / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert imread(tmp_path / "b.png").std() > 0.05


@pytest.mark.parametrize("draw", [run_curves, run_dynamics])
def test_without_two_logged_steps_there_is_no_file(tmp_path, draw):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "next_token_loss": 2.0}\n')
    assert not save_png(draw(load_run(tmp_path, "run")), tmp_path / "figures" / "a.png")
    assert not (tmp_path / "figures").exists()
