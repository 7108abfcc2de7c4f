"""A progress bar with the latest metrics."""

from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState

# Log key, the bar's short name and its format.
SHOWN = (
    ("next_token_loss", "loss", ".3f"),
    ("query_accuracy", "query", ".1%"),
    ("adaptation_gain", "gain", "+.1%"),
    ("tokens_per_second", "tok/s", ",.0f"),
    ("eval_perplexity", "held-out ppl", ",.1f"),
    ("eval_f1", "dev F1", ".3f"),
)


class ProgressCallback(TrainerCallback):
    """A bar over the optimizer steps on the main process, `name` before it and the latest metrics behind it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bar: tqdm | None = None
        self.shown: dict[str, str] = {}

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Open the bar at the first step, which is not 0 in a resumed run."""
        if state.is_world_process_zero:
            self.bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", desc=self.name)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Advance the bar."""
        if self.bar is not None:
            self.bar.update()

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Show the latest metrics."""
        logs = kwargs.get("logs") or {}
        self.shown |= {name: format(logs[key], style) for key, name, style in SHOWN if key in logs}
        if self.bar is not None:
            self.bar.set_postfix(self.shown)

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
