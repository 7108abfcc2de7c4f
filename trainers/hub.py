"""What can go wrong with the Hub, told apart: what time heals is tried again, the rest is one line for the user."""

from dataclasses import dataclass

import httpx2
from huggingface_hub import get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from .errors import InputError, PublishError

# The Hub is busy, throttles, was overtaken by another commit, or is ill.
PASSING = {408, 409, 412, 423, 425, 429}
# Of these a repository that exists answers with when the branch has gone meanwhile: it is made again.
MADE_AGAIN = {"RevisionNotFound"}


@dataclass(frozen=True)
class Failure:
    """Why a try failed.

    Attributes:
        message: one line.
        passing: whether it is worth trying again as it is.
        retry_after: seconds the Hub asked to wait, 0 where it did not.
    """

    message: str
    passing: bool
    retry_after: float = 0.0


def explain(error: BaseException, repository: str) -> Failure:
    """Tell a failure by the exception, or by what it was raised from."""
    if isinstance(error, PublishError):
        return Failure(str(error), passing=False)
    if isinstance(error, OfflineModeIsEnabled):
        return Failure("HF_HUB_OFFLINE=1 forbids to reach the Hub: unset it to publish", passing=False)
    if isinstance(error, HfHubHTTPError):
        return explain_answer(error, repository)
    if isinstance(error, httpx2.HTTPStatusError | httpx2.TransportError):
        return Failure(f"the Hub cannot be reached: {first_line(error)}", passing=True)
    if error.__cause__ is not None:  # the client wraps what goes wrong with a large file
        return explain(error.__cause__, repository)
    # What hf_xet raises of a network, and a transfer whose client another thread closed when it lost the connection.
    if isinstance(error, RuntimeError | ConnectionError | TimeoutError):
        return Failure(f"the transfer broke off: {first_line(error)}", passing=True)
    return Failure(f"cannot publish to {repository}: {type(error).__name__}: {first_line(error)}", passing=False)


def explain_answer(error: HfHubHTTPError, repository: str) -> Failure:
    """Tell a failure by what the Hub answered."""
    status = error.response.status_code
    said = first_line(error.server_message or error)
    owner = repository.split("/")[0]
    if status in PASSING or status >= 500 or error.response.headers.get("X-Error-Code") in MADE_AGAIN:
        waits = error.response.headers.get("Retry-After", "")
        return Failure(f"the Hub answers {status}: {said}", True, float(waits) if waits.isdigit() else 0.0)
    match status:
        case 401:
            token = "the Hub does not take the token" if get_token() else "there is no token"
            return Failure(f"{token} (401: {said}): run `hf auth login`, or set HF_TOKEN", passing=False)
        case 403 if any(word in said.lower() for word in ("storage", "quota", "limit")):
            return Failure(
                f"{repository}: no space left (403: {said}): free some, or take another owner", passing=False
            )
        case 403:
            return Failure(
                f"the token may not write to {repository} (403: {said}): take one with write access to {owner}, or "
                "another publish_to",
                passing=False,
            )
        case 404:
            return Failure(f"{repository} is not there, or not for this token (404: {said})", passing=False)
    return Failure(f"the Hub refuses {repository} ({status}: {said})", passing=False)


def first_line(text: object) -> str:
    """The first line of a message that says something."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[0] if lines else type(text).__name__


def check_repository_name(argument: str, name: str) -> None:
    """Raises InputError unless a name is user/name, in the Hub's letters."""
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise InputError(f"{argument} {name!r} is no repository name: {error}") from error
    if "/" not in name:
        raise InputError(f"{argument} must be user/name or organisation/name, got {name!r}")
