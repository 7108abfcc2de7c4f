"""Pieces of work that several workers share, and the folder with their results, failures and claims."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .claim import acquire
from .json_files import read_json, write_json
from .whole_file import delete_unfinished, write_whole


class Piece(Protocol):
    """A piece of work that one worker does."""

    @property
    def name(self) -> str:
        """Name of its files."""

    def describe(self) -> dict[str, Any]:
        """The first entries of its result file."""


@dataclass(frozen=True)
class WorkFolder:
    """Work on disk: results/NAME.json of finished pieces, failures/NAME.txt of failed, claims/NAME of claimed."""

    path: Path

    def result_path(self, piece: Piece) -> Path:
        """File of the result of a finished piece."""
        return self.path / "results" / f"{piece.name}.json"

    def failure_path(self, piece: Piece) -> Path:
        """File of the traceback of a failed piece."""
        return self.path / "failures" / f"{piece.name}.txt"

    def finished(self, piece: Piece) -> bool:
        """True if the piece has a result."""
        return self.result_path(piece).exists()

    def failed(self, piece: Piece) -> bool:
        """True if the piece failed and has no result since."""
        return self.failure_path(piece).exists() and not self.finished(piece)

    @property
    def has_failures(self) -> bool:
        """True if any piece failed."""
        return any((self.path / "failures").glob("*.txt"))

    def failure(self, piece: Piece) -> str:
        """The last line of its traceback."""
        lines = self.failure_path(piece).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "unknown error"

    def forget_failures(self, pieces: Sequence[Piece]) -> None:
        """Let failed pieces be tried again."""
        for piece in pieces:
            self.failure_path(piece).unlink(missing_ok=True)

    def counts(self, pieces: Sequence[Piece]) -> dict[str, int]:
        """Number of pieces that are finished, failed and left."""
        finished, failed = sum(map(self.finished, pieces)), sum(map(self.failed, pieces))
        return {"finished": finished, "failed": failed, "left": len(pieces) - finished - failed}

    def results(self) -> list[dict[str, Any]]:
        """The results of all finished pieces, sorted by name."""
        return [read_json(path) for path in sorted((self.path / "results").glob("*.json"))]

    def attempt(
        self, piece: Piece, stale_after: float, do: Callable[[], dict[str, Any]], say: Callable[[dict[str, Any]], str]
    ) -> bool:
        """Do a piece unless it is finished, failed or claimed by another worker; True if it was tried.

        `do` returns its result, which is saved with the `seconds` it took; `say` tells what to print of it. Whatever
        makes a piece fail is saved and stops no other.
        """
        if self.finished(piece) or self.failed(piece):
            return False
        claim = acquire(self.path / "claims" / piece.name, stale_after)
        if claim is None:
            return False
        with claim:
            if self.finished(piece) or self.failed(piece):
                return False
            delete_unfinished(self.result_path(piece))
            started = time.perf_counter()
            try:
                result = do()
            except Exception as error:
                write_whole(self.failure_path(piece), traceback.format_exc())
                print(f"{piece.name} failed: {error}", flush=True)
                return True
            result = {**piece.describe(), **result, "seconds": time.perf_counter() - started}
            write_json(self.result_path(piece), result, indent=None)
            print(f"{piece.name}: {say(result)}, {result['seconds']:.0f} s", flush=True)
            return True
