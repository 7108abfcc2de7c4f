"""Names of the files and folders in a run's folder and in its checkpoints."""

from itertools import chain, count
from pathlib import Path

# Of a run.
ARGUMENTS_FILE = "arguments.json"
METRICS_FILE = "metrics.jsonl"
DYNAMICS_FILE = "learning_dynamics.jsonl"
RESULTS_FILE = "results.json"
PREEMPTED_FILE = "PREEMPTED"
CLAIM_FILE = ".running"
PUBLISH_FOLDER = ".publish"
# Checkpoints are written below it, then sealed and renamed to checkpoint-N.
UNFINISHED = ".unfinished"
# A training state on its way from the Hub.
DOWNLOAD_FOLDER = ".download"

# Of a checkpoint.
COMPLETE = "COMPLETE"
# Why a checkpoint is never deleted.
KEPT_FILE = "kept.json"
MAML_STATE_FILE = "maml_state.safetensors"
# The episodes' head beside a model that is no Pico.
HEAD_FILE = "meta_head.safetensors"
STREAM_FILE = "stream.json"
COMPUTE_FILE = "compute_seconds.json"
DYNAMICS_FOLDER = "learning_dynamics"
CURVES_FILE = "curves.parquet"
SPECTRA_FILE = "spectra.safetensors"
REFERENCE_FILE = "reference.safetensors"

# Of a run whose episodes have classes of words; the first is in its checkpoints too.
CLASSES_FILE = "word_classes.tsv"
CLASSES_RECORD_FILE = "word_classes.json"


def free_folder(path: Path) -> Path:
    """The first of PATH, PATH-2, PATH-3, ... that does not exist."""
    names = chain([path], (path.with_name(f"{path.name}-{i}") for i in count(2)))
    return next(name for name in names if not name.exists())
