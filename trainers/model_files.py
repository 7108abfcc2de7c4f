"""Saves and loads the model that a trainer trains, also one that wraps the model of another class."""

from pathlib import Path

from torch import nn

from .meta.meta_causal_lm import MetaCausalLM
from .runs.safety import SafeTrainer


class ModelFiles(SafeTrainer):
    """A SafeTrainer whose checkpoints hold a wrapped model as its own class would save it (see `MetaCausalLM`)."""

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        if not isinstance(self.model, MetaCausalLM):
            super()._save(output_dir, state_dict)
        elif self.args.should_save:
            folder = Path(output_dir or str(self.args.output_dir))
            self.model.save_pretrained(folder)
            self.processing_class.save_pretrained(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        if isinstance(self.model, MetaCausalLM):
            self.model.load_weights(resume_from_checkpoint)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        if isinstance(self.model, MetaCausalLM):
            self.model.load_weights(self.state.best_model_checkpoint)
        else:
            super()._load_best_model()
