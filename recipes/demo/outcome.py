"""What a demo run ended with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...trainers.runs.files import ARGUMENTS_FILE
from ...trainers.runs.json_files import read_json


@dataclass(frozen=True)
class Outcome:
    """A finished demo."""

    folder: Path
    pretrained: dict[str, Any]  #: what `pretrain` wrote to results.json
    text: str  #: a line that the model wrote
    ner: dict[str, Any]  #: the scores of the test sentences

    @property
    def ner_folder(self) -> Path:
        """Folder of the NER model."""
        return self.folder / "ner"

    @property
    def perplexity(self) -> float:
        """On held-out text, after training."""
        return float(self.pretrained["held_out"][-1]["eval_perplexity"])

    def arguments(self) -> dict[str, Any]:
        """Those of its pretraining."""
        return read_json(self.folder / ARGUMENTS_FILE)
