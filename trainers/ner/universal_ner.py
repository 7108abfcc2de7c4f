"""Universal NER v1 (Mayhew et al. 2024): its treebanks, and their files, downloaded once from pinned commits."""

import hashlib
import json
import os
import string
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

from ..._caches import CACHES
from ..errors import InputError
from ..runs.whole_file import written_whole

FACTS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent.parent / "data" / "uner.json").read_text())[
    "treebanks"
]
# Appendix B of the paper: treebanks with train, dev and test; parallel test sets; small test sets.
SEEN = tuple(name for name, facts in FACTS.items() if "train" in facts["splits"])
PUD = tuple(name for name in FACTS if name.endswith("_pud"))
OTHER = tuple(name for name in FACTS if name not in SEEN + PUD)
GROUPS = {"seen": SEEN, "pud": PUD, "other": OTHER}
TREEBANKS = SEEN + PUD + OTHER
# The union of the treebanks with a train split.
ALL = "all"

# The variable names a mirror; a file is at URL/REPOSITORY/COMMIT/FILE.
URL_VARIABLE, URL = "PICO_MAML_UNER_URL", "https://raw.githubusercontent.com"
CACHE_VARIABLE = "PICO_MAML_CACHE"
TIMEOUT_SECONDS = 60
ATTEMPTS = 3


def fetch(treebank: str, split: str) -> Path:
    """Path of the file of a split in the cache; downloads and verifies it if it is not there.

    Raises:
        InputError: the download fails, or its bytes are not those of the pinned commit.
    """
    facts = FACTS[treebank]
    file = facts["splits"][split]["file"]
    folder = cache_folder() / "uner" / facts["commit"]
    path = folder / file
    if path.is_file() and matches(path.read_bytes(), facts["splits"][split]):
        return path
    mirror = (os.environ.get(URL_VARIABLE, "").strip() or URL).rstrip("/")
    url = f"{mirror}/{facts['repository']}/{facts['commit']}/{file}"
    by_hand = f"download it by hand into a folder and set uner_dir to that (or {URL_VARIABLE} to a mirror)"
    try:
        content = download(url)
    except (HTTPException, OSError, ValueError) as error:
        raise InputError(f"cannot download {url}: {error}; {by_hand}") from error
    if not matches(content, facts["splits"][split]):
        raise InputError(
            f"{url} does not have the hash of the pinned commit ({len(content)} bytes received); {by_hand}"
        )
    with written_whole(path) as temporary:  # another process may read it
        temporary.write_bytes(content)
    return path


def cache_folder() -> Path:
    """The folder of what this package downloads: the one that the variable PICO_MAML_CACHE names, or the usual one."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else CACHES / "pico-maml"


def download(url: str, attempts: int = ATTEMPTS) -> bytes:
    """The bytes at a URL, which may hold spaces; a download that breaks off is tried again.

    Raises:
        HTTPException, OSError, ValueError: the last attempt failed, or the URL is none.
    """
    try:
        with urlopen(quote(url, safe=string.punctuation), timeout=TIMEOUT_SECONDS) as response:
            return response.read()
    except (HTTPException, ConnectionError, TimeoutError):
        if attempts == 1:
            raise
        return download(url, attempts - 1)


def verify(path: Path, treebank: str, split: str) -> None:
    """Raise InputError if a user's file is not the one of the pinned commit."""
    if not matches(path.read_bytes(), FACTS[treebank]["splits"][split]):
        raise InputError(
            f"{path} is not the {split} split of {treebank} at the pinned commit "
            f"{FACTS[treebank]['commit'][:12]} (its hash differs): use that one, or give the path of your own file or "
            "folder as the treebank"
        )


def matches(content: bytes, facts: dict[str, Any]) -> bool:
    """True if bytes have the SHA-256 of the pinned file, or its git blob hash where only that is known."""
    if "sha256" in facts:
        return hashlib.sha256(content).hexdigest() == facts["sha256"]
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == facts["git_blob_sha1"]
