"""Where caches lie for a user without a home folder, as in a container that runs under a bare user id.

Imported first of all, because Hugging Face's libraries read HF_HOME when they are imported. Without a home folder they
would write to a folder named `~`.
"""

import os
import tempfile
from pathlib import Path

HOME: Path | None
try:
    HOME = Path("~").expanduser()
except RuntimeError:  # neither HOME nor an entry in the list of users
    HOME = None

#: Folder of caches: in the home folder, or in that of temporary files.
CACHES = Path(tempfile.gettempdir(), f"cache-of-{os.getuid()}") if HOME is None else HOME / ".cache"

if HOME is None and "XDG_CACHE_HOME" not in os.environ:
    os.environ.setdefault("HF_HOME", str(CACHES / "huggingface"))
