from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from pico_maml.callbacks import PublishCallback


@pytest.fixture
def save(tmp_path):
    """What the Trainer does after step 7 of process `rank`."""

    def on_save(callback, main_process):
        state = TrainerState(global_step=7, is_world_process_zero=main_process)
        callback.on_save(SimpleNamespace(output_dir=str(tmp_path)), state, TrainerControl())

    return on_save


def test_the_main_process_hands_over_each_checkpoint(save, tmp_path):
    seen = []
    callback = PublishCallback(lambda folder, step: seen.append((folder, step)))
    save(callback, main_process=True)
    save(callback, main_process=False)
    assert seen == [(tmp_path / "checkpoint-7", 7)]


def test_a_full_disk_costs_the_publication_and_not_the_training(save, capsys):
    def full(folder, step):
        raise OSError(28, "No space left on device")

    save(PublishCallback(full), main_process=True)
    said = "checkpoint-7 is not queued for publication: [Errno 28] No space left on device\n"
    assert capsys.readouterr().err == said
