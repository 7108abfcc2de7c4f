"""Arguments that name a corpus."""

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from ...trainers.corpus import load_documents
from ...trainers.corpus.documents import Documents


@dataclass
class SourceArguments:
    """Source of the text."""

    dataset: str = HfArg(
        default="python-prose",
        help="File, folder or Hub data set, or python-prose. "
        "Files are .txt, .jsonl, .parquet or .arrow; python-prose is the docs inside Python, without a download.",
    )
    dataset_config: str | None = HfArg(default=None, help="Configuration of a Hub data set.")
    dataset_split: str = HfArg(default="train", help="Split of a Hub data set.")
    dataset_revision: str | None = HfArg(default=None, help="Revision of a Hub data set (unset: main).")
    text_column: str = HfArg(
        default="text", help="Column of the text. A column `input_ids` is read as token ids instead."
    )
    streaming: bool = HfArg(
        default=False, help="Read the corpus while it is used. Otherwise a copy is first written to the cache."
    )

    def load(self, skip_bad_files: bool = False) -> Documents:
        """Open the corpus (see `load_documents`)."""
        return load_documents(
            self.dataset,
            config_name=self.dataset_config,
            split=self.dataset_split,
            revision=self.dataset_revision,
            text_column=self.text_column,
            streaming=self.streaming,
            skip_bad_files=skip_bad_files,
        )
