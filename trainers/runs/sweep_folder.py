"""The runs of a sweep, and the folder with their results, failures and claims."""

import re
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..model_name import ModelName
from .json_files import read_json
from .work_folder import WorkFolder

NAME = re.compile(r"(?P<size>[\w.]+)/(?P<pretraining>[\w.]+)(/(?P<seed>\d+))?")


@dataclass(frozen=True)
class Model:
    """A pretrained model: size, pretraining (vanilla, maml, ...) and pretraining seed name it.

    Attributes:
        path: a folder or Hub repository.
        pretraining_seed: tells runs of one size and pretraining apart; comparisons pair runs by it.
        subfolder: folder inside `path` that holds the model.
    """

    size: str
    pretraining: str
    path: str
    revision: str | None = None
    pretraining_seed: int = 0
    subfolder: str = ""

    @classmethod
    def parse(cls, text: str) -> "Model":
        """Parse SIZE/PRETRAINING[/SEED]=MODEL, a folder or Hub name (see `ModelName`); raise InputError otherwise."""
        name, _, place = text.partition("=")
        match = NAME.fullmatch(name)
        if match is None or not place:
            raise InputError(f"a model is SIZE/PRETRAINING[/SEED]=MODEL, for example tiny/maml/1=runs/a; got {text!r}")
        path, revision, subfolder = ModelName.parse(place)
        size, pretraining, seed = match.group("size", "pretraining", "seed")
        return cls(size, pretraining, path, revision, int(seed or 0), subfolder)

    @property
    def address(self) -> str:
        """The model without its revision, as `load_pretrained` takes it."""
        return f"{self.path}:{self.subfolder}" if self.subfolder else self.path

    @property
    def name(self) -> str:
        """Name of the model in files and messages; without the pretraining seed when that is 0."""
        seed = f"-run{self.pretraining_seed}" if self.pretraining_seed else ""
        return f"{self.size}-{self.pretraining}{seed}"


@dataclass(frozen=True)
class Run:
    """A fine-tuning of a model in a mode on a treebank with a seed."""

    model: Model
    mode: str
    train_on: str
    seed: int

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"{self.model.name}-{self.mode}-{Path(self.train_on).name}-{self.seed}"

    def describe(self) -> dict[str, Any]:
        """The first entries of its result file."""
        return {**asdict(self.model), "mode": self.mode, "train_on": self.train_on, "seed": self.seed}


def plan(models: list[Model], modes: list[str], train_on: list[str], seeds: list[int]) -> list[Run]:
    """Runs of every combination, those of a model together.

    Raises:
        InputError: two runs of one name, or one model under two names.
    """
    runs = [Run(*combination) for combination in product(models, modes, train_on, seeds)]
    names = [run.name for run in runs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"two runs would be {twice[0]}: give every model its own SIZE/PRETRAINING/SEED, and nothing twice"
        )
    places = [(model.address, model.revision) for model in models]
    if again := [model.address for model, place in zip(models, places, strict=True) if places.count(place) > 1]:
        raise InputError(f"{again[0]} is given as two models: a pretraining run counts once, so give each its own")
    return runs


class SweepFolder(WorkFolder):
    """The folder of a sweep."""

    @property
    def features(self) -> Path:
        """Folder of hidden states that runs share."""
        return self.path / "features"

    def work_path(self, run: Run) -> Path:
        """Folder of the checkpoints of a running run."""
        return self.path / "work" / run.name

    def check_same_model(self, run: Run) -> None:
        """Raise InputError if the result of a finished run is of another model or treebank that has its name."""
        saved, own = read_json(self.result_path(run)), run.describe()
        # A folder may have been moved with the sweep.
        moved = Path(own["path"]).exists() and Path(own["path"]).name == Path(str(saved.get("path"))).name
        names = ("revision", "subfolder", "train_on", *(() if moved else ("path",)))
        if other := [name for name in names if name in saved and saved[name] != own[name]]:
            raise InputError(
                f"{self.path} has a result of {run.name} with another {other[0]}, {saved[other[0]]!r} instead of "
                f"{own[other[0]]!r}: give the model another SIZE/PRETRAINING/SEED, or choose another output_dir"
            )

    def results(self) -> list[dict[str, Any]]:
        """The results of all finished runs, sorted by name; those of earlier versions have the pretraining seed 0."""
        return [{"pretraining_seed": 0, **result} for result in super().results()]
