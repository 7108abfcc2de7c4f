"""Where a run is published, and how: the arguments, and their copy in the run's folder."""

import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from transformers.hf_argparser import HfArg

from ...trainers import InputError
from ...trainers.checks import check_at_least, check_choice
from ...trainers.hub import check_repository_name
from ...trainers.runs.files import PUBLISH_FOLDER
from ...trainers.runs.json_files import read_json, write_json

SETTINGS_FILE = "settings.json"


@dataclass
class PublishArguments:
    """Arguments of publishing. The token is none of them: it comes from `hf auth login` or HF_TOKEN."""

    publish_to: str | None = HfArg(
        default=None,
        help="Model repository on the Hub, as user/name (unset: nothing is published). Each checkpoint becomes its "
        "revision step-N, in the background.",
    )
    publish_private: bool = HfArg(default=False, help="Create the repository as a private one.")
    publish_main: str = HfArg(default="newest", help="Checkpoint on `main`: newest, or best (lowest held-out loss).")
    publish_state: bool = HfArg(default=False, help="Also upload training states, as state-step-N, for --resume_from.")
    publish_tags: bool = HfArg(default=False, help="Also set a tag published-step-N, which never moves.")
    publish_license: str = HfArg(default="apache-2.0", help="Licence of the weights, by its identifier on the Hub.")
    publish_wait: float = HfArg(
        default=600.0, help="Seconds to wait for uploads after training. `pico-maml publish` sends the rest."
    )
    publish_retry: float = HfArg(default=2.0, help="Seconds before a failed upload is retried; doubled up to 60.")

    def __post_init__(self) -> None:
        check_choice("publish_main", self.publish_main, ("newest", "best"))
        check_at_least(0, publish_wait=self.publish_wait)
        if self.publish_retry <= 0:
            raise InputError(f"publish_retry must be above 0 seconds, got {self.publish_retry}")
        if self.publish_to is not None:
            check_repository_name("publish_to", self.publish_to)
        elif unread := set(asdict(self).items()) - {(f.name, f.default) for f in fields(self)}:
            names = ", ".join(sorted(name for name, _ in unread))
            raise InputError(f"{names} has no effect without publish_to: give publish_to user/name too")


@dataclass
class Settings(PublishArguments):
    """The arguments a run is published with, saved in its folder."""

    run_id: str = ""  #: random name in the titles of the run's commits; another run's revisions are never overwritten

    @property
    def repository(self) -> str:
        """user/name."""
        return str(self.publish_to)

    @classmethod
    def of_run(cls, run: Path, args: PublishArguments, run_id: str | None = None) -> "Settings | None":
        """Settings from the arguments, else those saved in the run's folder, else None.

        `run_id` is that of a run which was published from another folder. Raises InputError if the run is published
        to another repository already.
        """
        saved = load_settings(run)
        if args.publish_to is None:
            return saved
        if saved is not None and saved.publish_to != args.publish_to:
            raise InputError(
                f"{run} is published to {saved.publish_to} already: keep that, or delete {run / PUBLISH_FOLDER} to "
                f"publish all of it to {args.publish_to}"
            )
        return cls(**asdict(args), run_id=saved.run_id if saved else run_id or secrets.token_hex(4))

    def save(self, run: Path) -> None:
        """Write the settings into the run's folder, for the process that uploads and for later commands."""
        write_json(run / PUBLISH_FOLDER / SETTINGS_FILE, asdict(self))


def load_settings(run: Path) -> Settings | None:
    """The settings saved in a run's folder, None where it was never published."""
    path = run / PUBLISH_FOLDER / SETTINGS_FILE
    return Settings(**read_json(path)) if path.exists() else None
