"""Fetches a training state from the Hub, to resume a run on another machine."""

import re
import shutil
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from ...trainers import InputError
from ...trainers.hub import explain
from ...trainers.runs.checkpoints import damages
from ...trainers.runs.files import ARGUMENTS_FILE, DOWNLOAD_FOLDER

STATE = re.compile(r"state-step-(\d+)")
RUN_ID = re.compile(r"\(run ([0-9a-f]{8})\)")


def fetch_state(source: str, publish_to: str | None, run: Path) -> str:
    """Download a training state and its run's files into a new run's folder; returns that run's id or "".

    `source` is user/name@state-step-N, or `hub` for the newest state in `publish_to`. Raises InputError if there is no
    such state, it is damaged, or the Hub cannot be reached.
    """
    if source == "hub" and publish_to is None:
        raise InputError("resume_from hub needs a repository: give publish_to, or resume_from user/name@state-step-N")
    repository, _, revision = (str(publish_to) if source == "hub" else source).partition("@")
    if source != "hub" and not STATE.fullmatch(revision):
        raise InputError(f"resume_from takes `hub` or user/name@state-step-N, got {source!r}")
    download = run / DOWNLOAD_FOLDER
    try:
        api = HfApi(library_name="pico-maml")
        branches = api.list_repo_refs(repository).branches
        states = {int(match[1]): match[0] for branch in branches if (match := STATE.fullmatch(branch.name))}
        revision = revision or states.get(max(states, default=0), "")
        if revision not in states.values():
            have = ", ".join(states[step] for step in sorted(states)) or "none: publish with publish_state"
            raise InputError(f"{repository} has no training state {revision}; it has {have}")
        title = api.list_repo_commits(repository, revision=revision)[0].title
        snapshot_download(repository, revision=revision, local_dir=download)
        shutil.rmtree(download / ".cache")  # the client's own
        (download / ".gitattributes").unlink(missing_ok=True)
        if damage := damages(download):
            raise InputError(f"{repository}@{revision} is a damaged checkpoint: {'; '.join(damage)}")
        # arguments.json goes last: with it the folder is a run that --resume goes on with.
        for path in sorted((download / "run").iterdir(), key=lambda path: path.name == ARGUMENTS_FILE):
            path.rename(run / path.name)
        (download / "run").rmdir()
        download.rename(run / f"checkpoint-{revision.removeprefix('state-step-')}")
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise InputError(f"cannot resume from the Hub: {explain(error, repository).message}") from error
    finally:
        shutil.rmtree(download, ignore_errors=True)
    published_by = RUN_ID.search(title)
    return published_by[1] if published_by else ""
