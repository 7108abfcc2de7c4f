"""The notebook docs/quickstart.ipynb runs from top to bottom."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "quickstart.ipynb"
# Replaced so that the model and the evaluations are small.
SMALLER = {
    " --eval_blocks 128 --eval_episodes 20 --n_way 8": " --eval_blocks 64 --eval_episodes 2 --n_way 8"
    " --d_model 32 --n_layers 2 --activation_hidden_dim 64 --head_hidden_dim 16",
    "--num_train_epochs 3": "--num_train_epochs 1",
    '"--formats", "png"': '"--formats", "none"',
}


def test_notebook_runs_from_top_to_bottom(tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel (the extra test)")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (steps,) = [cell for cell in notebook.cells if cell.source == "STEPS = 60"]
    steps.source = "STEPS = 6"
    for cell in notebook.cells:
        for shown, smaller in SMALLER.items():
            cell.source = cell.source.replace(shown, smaller)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    shown = {
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {"stream": output.get("text")})
    }
    assert {"image/png", "text/plain", "stream"} <= shown
    assert (tmp_path / "runs/report/index.html").exists()


def test_notebook_is_committed_without_outputs():
    nbformat = pytest.importorskip("nbformat")
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
