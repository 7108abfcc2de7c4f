"""Arguments of labelled sentences that are not of Universal NER."""

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from ...trainers.ner.sources.data_format import DataFormat


@dataclass(kw_only=True)
class EntityArguments:
    """How files of your own are read."""

    token_column: int | None = HfArg(default=None, help="Column of the word, from 0, in a file of columns.")
    tag_column: int | None = HfArg(default=None, help="Column of its tag, from 0, or from -1 backwards.")
    tag_scheme: str = HfArg(default="iob2", help="How tags are written: iob2, iob1 or bilou (also BIOES).")
    label_map: list[str] = HfArg(
        default_factory=list, help="New names of classes, FROM=TO, such as PERSON=PER GPE=LOC MISC=O."
    )

    def __post_init__(self) -> None:
        self.data_format()

    def data_format(self) -> DataFormat:
        """The arguments as a `DataFormat`; InputError if they do not fit together."""
        return DataFormat(self.token_column, self.tag_column, self.tag_scheme, tuple(self.label_map))
