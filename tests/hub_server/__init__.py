"""A Hub on 127.0.0.1 for tests of the real huggingface_hub client: repositories on disk, faults on demand."""

from .faults import Fault
from .server import Account, HubServer, serve
from .storage import commit

__all__ = ["Account", "Fault", "HubServer", "commit", "serve"]
