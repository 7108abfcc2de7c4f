import json

from small_run import arguments
from transformers.integrations import TensorBoardCallback

from pico_maml.trainers import MAMLTrainer
from pico_maml.trainers.runs.safety.trackers import TolerantTracker


class Broken(TensorBoardCallback):
    """A tracker whose service goes away at the second log."""

    def __init__(self) -> None:
        self.logs = 0

    def on_train_begin(self, *args, **kwargs):
        pass

    def on_log(self, *args, **kwargs):
        self.logs += 1
        if self.logs == 2:
            raise ConnectionError("the service\nis gone")


def test_failing_tracker_is_disabled_and_the_log_is_complete(model, blocks, tokenizer, tmp_path, caplog):
    made = MAMLTrainer(model, arguments(tmp_path), blocks, tokenizer, callbacks=[Broken()])
    made.train()
    (tolerant,) = [callback for callback in made.callback_handler.callbacks if isinstance(callback, TolerantTracker)]
    assert tolerant.tracker.logs == 2
    assert "Broken failed and is disabled for the rest of the run: the service is gone" in caplog.messages
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 4]
