"""Lines of a text file of the user's own."""

from pathlib import Path

from .errors import InputError


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file without their ends and without a byte-order mark.

    Raises:
        InputError: the file cannot be read, or is not UTF-8; names the first byte that is not.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start + 1}: convert the file") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path") from error
    # Not splitlines(): U+2028, U+0085 and others end a line for it, but may stand inside a text.
    return text.split("\n")
