"""Which text is prepared, and how."""

from dataclasses import asdict, dataclass, field
from typing import Any

from ...trainers import InputError
from ...trainers.corpus import load_documents
from ...trainers.corpus.documents import Documents
from ...trainers.hub import check_repository_name

# What decides neither the text nor its form.
FREE = ("output_dir", "workers", "push_to", "push_private", "license")


@dataclass
class PrepareArguments:
    """Arguments of the preparation."""

    output_dir: str = field(metadata={"help": "New folder, or that of a preparation that was interrupted."})
    dataset: str = field(
        default="python-prose",
        metadata={
            "help": "`python-prose`, a .txt, .jsonl, .parquet or .arrow file, a folder of them, or a Hub data set."
        },
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a Hub data set."})
    dataset_split: str = field(default="train", metadata={"help": "Split of a Hub data set."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Revision of a Hub data set."})
    text_column: str = field(default="text", metadata={"help": "Column of the text."})
    streaming: bool = field(
        default=False, metadata={"help": "Read without a copy on disk first; one shard a source file then."}
    )
    tokenizer: str | None = field(
        default=None, metadata={"help": "Folder or Hub name; unset: a byte-level BPE is trained on the corpus."}
    )
    vocab_size: int = field(default=50304, metadata={"help": "Tokens of a tokenizer that is trained here."})
    block_size: int = field(default=2048, metadata={"help": "T, tokens a block predicts; a block holds one more."})
    held_out_fraction: float = field(
        default=0.005, metadata={"help": "Share of the documents for the split `validation`."}
    )
    documents_per_shard: int = field(
        default=10_000, metadata={"help": "Documents of a file; with streaming the source's files decide."}
    )
    workers: int = field(default=1, metadata={"help": "Processes that tokenise, a shard each."})
    push_to: str | None = field(
        default=None, metadata={"help": "Data set repository on the Hub for the result, as user/name (unset: none)."}
    )
    push_private: bool = field(default=False, metadata={"help": "Make a new repository private."})
    license: str | None = field(default=None, metadata={"help": "Licence of the text, as the Hub names it."})

    def __post_init__(self) -> None:
        if not 0 < self.held_out_fraction < 1:
            raise InputError(f"held_out_fraction must be between 0 and 1, got {self.held_out_fraction}")
        for name, least in (("block_size", 2), ("documents_per_shard", 1), ("workers", 1)):
            if self.__dict__[name] < least:
                raise InputError(f"{name} must be at least {least}, got {self.__dict__[name]}")
        if self.push_to is not None:
            check_repository_name("push_to", self.push_to)

    def documents(self) -> Documents:
        """All documents.

        Raises:
            InputError: nothing there, or it is tokenised already.
        """
        documents = load_documents(
            self.dataset,
            config_name=self.dataset_config,
            split=self.dataset_split,
            revision=self.dataset_revision,
            text_column=self.text_column,
            streaming=self.streaming,
        )
        if "text" not in (documents.column_names or next(iter(documents))):
            raise InputError(f"{self.dataset!r} is tokenised already: give text")
        return documents

    def decisive(self) -> dict[str, Any]:
        """The arguments that decide the files."""
        return {name: value for name, value in asdict(self).items() if name not in FREE}
