"""Checkpoints are written under another name, sealed with hashes, renamed into place and verified on resume."""

from .finding import newest, numbered, step_of
from .saving import rotate, written_beside
from .seal import damages, read_seal

__all__ = ["damages", "newest", "numbered", "read_seal", "rotate", "step_of", "written_beside"]
