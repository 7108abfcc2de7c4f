"""Going on, on another machine, from a training state on the Hub."""

import re
import shutil
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from ...trainers import InputError
from ...trainers.hub import explain
from ...trainers.runs.checkpoints import damages

STATE = re.compile(r"state-step-(\d+)")
RUN = re.compile(r"\(run ([0-9a-f]{8})\)")


def fetch_state(source: str, publish_to: str | None, run: Path) -> str:
    """Put a training state and what its run had written by then into a new run's folder.

    Args:
        source: `hub`, the newest state in `publish_to`, or user/name@state-step-N.
        publish_to: user/name.
        run: folder, empty or not there.

    Returns:
        The random name of the run that published it.

    Raises:
        InputError: no such state, or the Hub cannot be reached.
    """
    if source == "hub" and publish_to is None:
        raise InputError("resume_from hub needs to know the repository: give publish_to, or user/name@state-step-N")
    repository, _, revision = (str(publish_to) if source == "hub" else source).partition("@")
    if source != "hub" and not STATE.fullmatch(revision):
        raise InputError(f"resume_from takes `hub` or user/name@state-step-N, got {source!r}")
    download = run / ".download"
    try:
        api = HfApi(library_name="pico-maml")
        states = [ref.name for ref in api.list_repo_refs(repository).branches if STATE.fullmatch(ref.name)]
        revision = revision or max(states, key=step_of, default="")
        if revision not in states:
            have = ", ".join(sorted(states, key=step_of)) or "none: publish with publish_state"
            raise InputError(f"{repository} has no training state {revision}; it has {have}")
        title = api.list_repo_commits(repository, revision=revision)[0].title
        snapshot_download(repository, revision=revision, local_dir=download)
        shutil.rmtree(download / ".cache")  # the client's own
        (download / ".gitattributes").unlink(missing_ok=True)
        if wrong := damages(download):
            raise InputError(f"{repository}@{revision} is no whole checkpoint: {'; '.join(wrong)}")
    except InputError:
        shutil.rmtree(download, ignore_errors=True)
        raise
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        shutil.rmtree(download, ignore_errors=True)
        raise InputError(f"cannot resume from the Hub: {explain(error, repository).message}") from error
    for path in (download / "run").iterdir():
        path.rename(run / path.name)
    (download / "run").rmdir()
    download.rename(run / f"checkpoint-{step_of(revision)}")
    found = RUN.search(title)
    return found[1] if found else ""


def step_of(revision: str) -> int:
    """N of state-step-N."""
    return int(revision.rsplit("-", 1)[1])
