"""Learning dynamics in a checkpoint: the curves so far, the spectra at its step, and the reference of CKA.

learning_dynamics/curves.parquet           the rows of `load_dynamics`
learning_dynamics/spectra.safetensors      singular values, named `weight/LAYER/MODULE[/HEAD]` and, if gradients were
                                           measured at the step, `OBJECTIVE_gradient/LAYER/MODULE`
learning_dynamics/reference.safetensors    activations that CKA compares with, named `LAYER/MODULE`
"""

from collections.abc import Sequence
from pathlib import Path

from accelerate import PartialState
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..trainers.runs.files import CURVES_FILE, DYNAMICS_FOLDER, REFERENCE_FILE, SPECTRA_FILE
from ..trainers.runs.learning_dynamics import DynamicsFile
from .dynamics_callback import DynamicsCallback


def save_dynamics(checkpoint: Path, step: int, file: DynamicsFile, callbacks: Sequence[DynamicsCallback]) -> None:
    """Write the `learning_dynamics` folder of a checkpoint; every process must call it."""
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
    """Cut the run's learning dynamics back to a checkpoint; every process must call it.

    If the run has no file of its own, as with a downloaded checkpoint, it is restored from the checkpoint.
    """
    folder = checkpoint / DYNAMICS_FOLDER
    if (folder / REFERENCE_FILE).exists():
        tensors = load_file(folder / REFERENCE_FILE)
        for callback in callbacks:
            callback.load_reference(tensors)
    if PartialState().is_main_process:
        if not file.path.exists() and (folder / CURVES_FILE).exists():
            file.restore(folder)
        file.lines.cut_back_to(step or -1)  # the untrained model is measured again
