"""Checkpoints are written under another name, sealed with hashes, renamed into place and verified on resume."""

from ..files import COMPLETE, UNFINISHED
from .finding import newest
from .saving import rotate, written_beside
from .seal import damages, read_seal, verify

__all__ = ["COMPLETE", "UNFINISHED", "damages", "newest", "read_seal", "rotate", "verify", "written_beside"]
