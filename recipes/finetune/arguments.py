"""Arguments that fine-tuning has for every task."""

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from ...trainers.checks import check_at_least, check_choice
from ...trainers.tuning.few_shot import METHODS

NER, TEXT_CLASSIFICATION = "ner", "text-classification"
TASKS = (NER, TEXT_CLASSIFICATION)


@dataclass(kw_only=True)
class TaskArguments:
    """What the model learns."""

    task: str = HfArg(
        default=NER,
        help=f"{NER} or {TEXT_CLASSIFICATION} (its arguments: --task {TEXT_CLASSIFICATION} --help).",
    )

    def __post_init__(self) -> None:
        check_choice("task", self.task, TASKS)


@dataclass(kw_only=True)
class FinetuneArguments(TaskArguments):
    """Model and few shots."""

    model: str = HfArg(help="Checkpoint: a folder, or user/name[@revision][:subfolder] on the Hub.")
    shots: list[int] = HfArg(
        default_factory=list,
        help="K: few-shot instead, on sentences with K examples of each class. Several are a curve.",
    )
    draws: int = HfArg(default=10, help="Draws of these sentences for each K, the same for every model.")
    few_shot_methods: list[str] = HfArg(
        default_factory=lambda: ["linear", "prototypes"],
        help="linear and prototypes on frozen features, and full by learning_rate and num_train_epochs.",
    )
    revision: str | None = HfArg(default=None, help="Revision of a Hub model.")
    tokenizer: str | None = HfArg(default=None, help="Folder or Hub name of the tokenizer (unset: the model's own).")
    delete_downloads: bool = HfArg(default=False, help="Delete the files downloaded of the model when finished.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(1, shots=min(self.shots, default=1), draws=self.draws)
        for method in self.few_shot_methods:
            check_choice("few_shot_methods", method, METHODS)
