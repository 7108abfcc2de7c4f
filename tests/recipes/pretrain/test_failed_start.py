"""A run that fails before its first step leaves its folder free."""

import pytest
from pretrain_run import argv

from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers import MAMLTrainer


def test_the_same_command_starts_again_after_a_failure_before_the_first_step(corpus, tmp_path, monkeypatch):
    arguments = argv(tmp_path / "out", corpus, eval_episodes=0, max_steps=2)

    def fail(*args, **kwargs):
        assert (tmp_path / "out" / "arguments.json").exists()
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(MAMLTrainer, "training_step", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            pretrain.main(arguments)
    assert not (tmp_path / "out").exists()
    assert pretrain.main(arguments)["steps"] == 2


def test_a_failure_after_the_first_step_keeps_what_was_written(corpus, tmp_path, monkeypatch):
    step = MAMLTrainer.training_step

    def fail_later(trainer, *args, **kwargs):
        if trainer.state.global_step == 1:
            raise RuntimeError("out of memory")
        return step(trainer, *args, **kwargs)

    monkeypatch.setattr(MAMLTrainer, "training_step", fail_later)
    with pytest.raises(RuntimeError, match="out of memory"):
        pretrain.main(argv(tmp_path / "out", corpus, eval_episodes=0, max_steps=3, save_steps=1))
    assert (tmp_path / "out" / "checkpoint-1").is_dir()
    assert (tmp_path / "out" / "arguments.json").exists()
