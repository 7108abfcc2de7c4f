"""Learning dynamics in a checkpoint: the curves so far, the spectra at its step, and what a resumed run needs.

learning_dynamics/curves.parquet           pandas.read_parquet opens it: the rows of `load_dynamics`
learning_dynamics/spectra.safetensors      singular values, named `weight/LAYER/MODULE[/HEAD]` and, where the step
                                           was a measured one, `OBJECTIVE_gradient/LAYER/MODULE`
learning_dynamics/reference.safetensors    activations that CKA compares with, named `LAYER/MODULE`
"""

from collections.abc import Sequence
from pathlib import Path

from accelerate import PartialState
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..trainers.runs.learning_dynamics import CURVES_FILE, DYNAMICS_FOLDER, DynamicsFile
from .dynamics_callback import DynamicsCallback

SPECTRA_FILE = "spectra.safetensors"
REFERENCE_FILE = "reference.safetensors"


def save_dynamics(checkpoint: Path, step: int, file: DynamicsFile, callbacks: Sequence[DynamicsCallback]) -> None:
    """Write `learning_dynamics/` into the folder of a checkpoint; every process must call it."""
    spectra: dict[str, Tensor] = {}
    reference: dict[str, Tensor] = {}
    for callback in callbacks:
        spectra |= callback.singular_values(step)
        reference |= callback.reference()
    if PartialState().is_main_process:
        folder = checkpoint / DYNAMICS_FOLDER
        file.save(folder)
        for name, tensors in ((SPECTRA_FILE, spectra), (REFERENCE_FILE, reference)):
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / name)


def resume_dynamics(checkpoint: Path, step: int, file: DynamicsFile, callbacks: Sequence[DynamicsCallback]) -> None:
    """Go on with the curves of a checkpoint; every process must call it.

    What the run measured after the checkpoint is dropped, because it will be measured again. Where the run's own file
    is gone, as with a downloaded checkpoint, it is restored. A checkpoint without learning dynamics begins new ones.
    """
    folder = checkpoint / DYNAMICS_FOLDER
    if (folder / REFERENCE_FILE).exists():
        tensors = load_file(folder / REFERENCE_FILE)
        for callback in callbacks:
            callback.load_reference(tensors)
    if PartialState().is_main_process:
        if not file.path.exists() and (folder / CURVES_FILE).exists():
            file.restore(folder)
        file.lines.cut_back_to(step)
