"""Where a run is published, and how."""

import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ...trainers import InputError
from ...trainers.checks import check_choice
from ...trainers.hub import check_repository_name
from ...trainers.runs.json_files import write_json

MAIN = ("newest", "best")
# The folder of a run that holds all this.
FOLDER = ".publish"


@dataclass
class PublishArguments:
    """Arguments of publishing. The token is never one of them: `hf auth login`, or HF_TOKEN, says it."""

    publish_to: str | None = field(
        default=None,
        metadata={
            "help": "Model repository on the Hub, as user/name: each checkpoint becomes its revision step-N, in the "
            "background (unset: nothing is published)."
        },
    )
    publish_private: bool = field(default=False, metadata={"help": "Make a new repository private."})
    publish_main: str = field(
        default="newest",
        metadata={"help": "Which checkpoint `main` holds: newest, or best (lowest held-out next-token loss)."},
    )
    publish_state: bool = field(
        default=False,
        metadata={"help": "Also the training state, as revision state-step-N, from which --resume_from goes on."},
    )
    publish_tags: bool = field(default=False, metadata={"help": "Also a tag published-step-N, which never moves."})
    publish_collection: str | None = field(
        default=None, metadata={"help": "Title of a collection of the same owner to put the repository into."}
    )
    publish_license: str = field(
        default="apache-2.0", metadata={"help": "Licence of the weights, as the Hub names it."}
    )
    publish_wait: float = field(
        default=600.0,
        metadata={"help": "Seconds to wait at the end for uploads; what is left then goes with recipes.publish."},
    )
    publish_retry: float = field(
        default=2.0, metadata={"help": "Seconds before a failed upload is tried again; doubled each time, up to 60."}
    )

    def __post_init__(self) -> None:
        check_choice("publish_main", self.publish_main, MAIN)
        if self.publish_wait < 0 or self.publish_retry <= 0:
            raise InputError(
                f"publish_wait must be at least 0 and publish_retry above 0 seconds, got {self.publish_wait} and "
                f"{self.publish_retry}"
            )
        if self.publish_to is not None:
            check_repository_name("publish_to", self.publish_to)
        elif unread := [f.name for f in fields(self) if self.__dict__[f.name] != f.default]:
            raise InputError(f"{', '.join(unread)} says nothing without publish_to: give that, too")


@dataclass(frozen=True)
class Settings:
    """What the publisher of a run goes by, kept in the run's folder.

    Attributes:
        repository: user/name.
        run: a random name of this run, which its commits carry: what another one wrote is never written over.
    """

    repository: str
    run: str
    private: bool
    main: str
    state: bool
    tags: bool
    collection: str | None
    license: str
    wait: float
    retry: float

    @classmethod
    def of_run(cls, run: Path, args: PublishArguments, name: str | None = None) -> "Settings | None":
        """Settings from the arguments, or those the run has; None where it has none. A run keeps its random name.

        Args:
            run: the run's folder.
            args: the arguments.
            name: the random name the run had elsewhere.

        Raises:
            InputError: the run is published to another repository already.
        """
        known = load_settings(run)
        if args.publish_to is None:
            return known
        if known is not None and known.repository != args.publish_to:
            raise InputError(
                f"{run} is published to {known.repository} already: keep that, or delete {run / FOLDER} to start anew "
                f"with {args.publish_to}"
            )
        return cls(
            args.publish_to,
            known.run if known else name or secrets.token_hex(4),
            args.publish_private,
            args.publish_main,
            args.publish_state,
            args.publish_tags,
            args.publish_collection,
            args.publish_license,
            args.publish_wait,
            args.publish_retry,
        )

    def save(self, run: Path) -> None:
        """Keep them in the run's folder, for the process that uploads and for later."""
        write_json(run / FOLDER / "settings.json", asdict(self))


def load_settings(run: Path) -> Settings | None:
    """The settings saved in a run's folder, None where it was never published."""
    path = run / FOLDER / "settings.json"
    return Settings(**load(path)) if path.exists() else None


def load(path: Path) -> dict[str, Any]:
    """A JSON file."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content
