"""Arguments of the command `prepare`."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from transformers.hf_argparser import HfArg

from ...trainers import InputError
from ...trainers.checks import check_at_least
from ...trainers.corpus.content_hash import content_hash
from ...trainers.corpus.documents import Documents, column_names
from ...trainers.hub import check_repository_name
from ..arguments.corpus import SourceArguments
from ..arguments.launcher import LauncherArguments

# Arguments that do not change the files.
FREE = {f.name for f in fields(LauncherArguments)} | {"output_dir", "push_to", "push_private", "license"}


@dataclass(kw_only=True)
class PrepareArguments(LauncherArguments, SourceArguments):
    """Packed shards."""

    output_dir: str = HfArg(help="New folder, or the folder of an interrupted preparation to continue.")
    tokenizer: str | None = HfArg(
        default=None, help="Folder or Hub name (unset: train a byte-level BPE on the corpus)."
    )
    vocab_size: int = HfArg(default=50304, help="Tokens of a tokenizer that is trained here.")
    block_size: int = HfArg(default=2048, help="Tokens that a block predicts, T; it holds T + 1.")
    held_out_fraction: float = HfArg(default=0.005, help="Share of the documents in the split `validation`.")
    documents_per_shard: int = HfArg(
        default=10_000,
        help="Documents per shard, or paragraphs of .txt files (with streaming: one shard per source file).",
    )
    push_to: str | None = HfArg(default=None, help="Data set repository on the Hub, user/name (unset: no upload).")
    push_private: bool = HfArg(default=False, help="Create the repository as private.")
    license: str | None = HfArg(default=None, help="Licence of the text, as the Hub names it.")

    def __post_init__(self) -> None:
        LauncherArguments.__post_init__(self)
        if not 0 < self.held_out_fraction < 1:
            raise InputError(f"held_out_fraction must be between 0 and 1, got {self.held_out_fraction}")
        check_at_least(2, block_size=self.block_size)
        check_at_least(1, documents_per_shard=self.documents_per_shard)
        if self.push_to is not None:
            check_repository_name("push_to", self.push_to)

    def documents(self) -> Documents:
        """All documents, as text.

        Raises:
            InputError: the corpus cannot be opened, or holds token ids.
        """
        documents = self.load()
        if "text" not in column_names(documents):
            raise InputError(f"{self.dataset!r} is tokenized already: give a corpus of text")
        return documents

    def decisive(self) -> dict[str, Any]:
        """What decides the content of the files: arguments, a hash of the corpus, and the columns that are written.

        The hash shows that a corpus was edited between the start of a preparation and its end.
        """
        decisive = {name: value for name, value in asdict(self).items() if name not in FREE}
        return decisive | {"corpus_hash": content_hash(self.dataset), "columns": ["input_ids", "document"]}
