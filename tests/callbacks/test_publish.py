from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from pico_maml.callbacks import PublishCallback


@pytest.fixture
def save(tmp_path):
    """Calls on_save as the Trainer does after step 7, on the main process or another."""

    def on_save(callback, main_process):
        state = TrainerState(global_step=7, is_world_process_zero=main_process)
        callback.on_save(SimpleNamespace(output_dir=str(tmp_path)), state, TrainerControl())

    return on_save


def test_only_the_main_process_publishes_a_checkpoint(save, tmp_path):
    published = []
    callback = PublishCallback(lambda folder, step: published.append((folder, step)))
    save(callback, main_process=True)
    save(callback, main_process=False)
    assert published == [(tmp_path / "checkpoint-7", 7)]


def test_full_disk_skips_the_publication_and_training_goes_on(save, capsys):
    def full(folder, step):
        raise OSError(28, "No space left on device")

    save(PublishCallback(full), main_process=True)
    message = "checkpoint-7 is not queued for publication: [Errno 28] No space left on device\n"
    assert capsys.readouterr().err == message
