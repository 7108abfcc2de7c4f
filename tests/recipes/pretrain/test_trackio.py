"""A run that logs to trackio, whose database is a local file."""

import pytest
from pretrain_run import argv

from pico_maml.recipes.pretrain import command as pretrain


def test_trackio_gets_metrics_and_arguments_and_goes_on_with_a_run_of_the_same_name(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when trackio is imported
    trackio = pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    options = {"report_to": "trackio", "eval_episodes": 0, "logging_steps": 1, "save_steps": 2}
    pretrain.main(argv(tmp_path / "out", corpus, **options, max_steps=2))
    pretrain.main(argv(tmp_path / "out", corpus, **options, max_steps=4, resume=True))
    (run,) = trackio.Api().runs("pico-maml")
    assert run.name == "out"
    assert run.config["n_way"] == 4
    logs = SQLiteStorage.get_logs("pico-maml", "out", run_id=run.id)
    assert [log["train/global_step"] for log in logs if "train/grad_norm" in log] == [1, 2, 3, 4]
    assert any("eval/perplexity" in log for log in logs)
    assert list((tmp_path / "trackio").glob("pico-maml.db"))
