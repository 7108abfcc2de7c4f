"""Checkpoints that are whole or absent: written beside, sealed with hashes, renamed into place, verified on resume."""

from .finding import newest
from .saving import UNFINISHED, rotate, written_beside
from .seal import COMPLETE, damages, read_seal, verify

__all__ = ["COMPLETE", "UNFINISHED", "damages", "newest", "read_seal", "rotate", "verify", "written_beside"]
