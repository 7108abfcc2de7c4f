"""Failures of the Hub: which ones are worth a retry, and the one line that tells the user about the others."""

from dataclasses import dataclass

import httpx2
from huggingface_hub import get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from .errors import InputError, PublishError

# The Hub is busy or limits requests, or another commit came first. As with all of 500 and above, a retry may succeed.
PASSING = {408, 409, 412, 423, 425, 429}


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed, in one line."""

    message: str
    passing: bool = False  #: the same attempt may succeed later
    retry_after: float = 0.0  #: seconds the Hub asked to wait


def explain(error: BaseException, repository: str) -> Failure:
    """Classify an exception of an attempt to reach a repository."""
    match error:
        case PublishError():
            return Failure(str(error))
        case OfflineModeIsEnabled():
            return Failure("HF_HUB_OFFLINE=1 forbids to reach the Hub: unset it to publish")
        case HfHubHTTPError():
            return explain_answer(error, repository)
        case httpx2.HTTPStatusError() | httpx2.TransportError():
            return Failure(f"the Hub cannot be reached: {first_line(error)}", passing=True)
    if error.__cause__ is not None:  # the client wraps failures of large files
        return explain(error.__cause__, repository)
    # Network errors of hf_xet, and a transfer whose client another thread closed after losing the connection.
    if isinstance(error, RuntimeError | ConnectionError | TimeoutError):
        return Failure(f"the transfer broke off: {first_line(error)}", passing=True)
    return Failure(f"cannot publish to {repository}: {type(error).__name__}: {first_line(error)}")


def explain_answer(error: HfHubHTTPError, repository: str) -> Failure:
    """Classify an error that the Hub answered."""
    status, headers = error.response.status_code, error.response.headers
    answer = first_line(error.server_message or error)
    # A deleted branch is created again by the next attempt.
    if status in PASSING or status >= 500 or headers.get("X-Error-Code") == "RevisionNotFound":
        seconds = headers.get("Retry-After", "")
        return Failure(f"the Hub answers {status}: {answer}", True, float(seconds) if seconds.isdigit() else 0.0)
    if status == 401:
        token = "the Hub does not accept the token" if get_token() else "there is no token"
        return Failure(f"{token} (401: {answer}): run `hf auth login`, or set HF_TOKEN")
    if status == 403 and any(word in answer.lower() for word in ("storage", "quota", "limit")):
        return Failure(f"{repository}: no space left (403: {answer}): free some, or choose another owner")
    if status == 403:
        remedy = f"use one with write access to {repository.split('/')[0]}, or another publish_to"
        return Failure(f"the token may not write to {repository} (403: {answer}): {remedy}")
    if status == 404:
        return Failure(f"{repository} does not exist, or the token may not see it (404: {answer})")
    return Failure(f"the Hub rejects the request for {repository} ({status}: {answer})")


def first_line(text: object) -> str:
    """The first line of a message that is not blank, else the name of its type."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[0] if lines else type(text).__name__


def check_repository_name(argument: str, name: str) -> None:
    """Raise InputError unless the name is user/name, in letters the Hub accepts."""
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise InputError(f"{argument} {name!r} is not a repository name: {error}") from error
    if "/" not in name:
        raise InputError(f"{argument} must be user/name or organisation/name, got {name!r}")
