"""Arguments of the evaluation."""

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from ...trainers import InputError
from ...trainers.checks import check_at_least, check_choice

WORDS = ("held_out", "training", "all")


@dataclass
class EvaluateArguments:
    """Arguments of the evaluation, where text, block size and tokenizer are by default those of the model's run.

    Episode settings that are unset are those of the checkpoint's training.
    """

    model: str = HfArg(help="Checkpoint: a folder, or user/name[@revision][:subfolder] on the Hub.")
    revision: str | None = HfArg(default=None, help="Revision of a Hub model (unset: main).")
    subfolder: str = HfArg(default="", help="Folder of the checkpoint inside the model, such as checkpoints/step_100.")
    tokenizer: str | None = HfArg(default=None, help="Folder or Hub name of the tokenizer (unset: the model's own).")
    output_file: str | None = HfArg(default=None, help="JSON file for the results (unset: they are only printed).")
    compare: str | None = HfArg(
        default=None, help="Output file of another model's evaluation: paired differences on the same episodes."
    )
    batch_size: int = HfArg(default=32, help="Blocks of a forward pass.")
    episodes: int = HfArg(default=200, help="Held-out episodes of each shape (0: none).")
    words: str = HfArg(default="held_out", help="Words of the episodes: held_out (from training), training or all.")
    n_way: list[int] = HfArg(default_factory=list, help="N, words in an episode. Several values are a sweep.")
    k_shot: list[int] = HfArg(default_factory=list, help="K, support windows of each word. Several are a sweep.")
    n_query: int | None = HfArg(default=None, help="Query windows of each word.")
    readout: str | None = HfArg(default=None, help="Hidden state that is classified: mask, previous or last.")
    episode_window: int | None = HfArg(default=None, help="Tokens in a support or query window.")
    word_max_frequency: float | None = HfArg(
        default=None, help="Words above this share of the text's tokens are no classes (1: no limit)."
    )
    held_out_words: float | None = HfArg(
        default=None, help="Share of the words that are held out (unset: as in training)."
    )
    held_out_rule: str | None = HfArg(
        default=None, help="What is held out: form, stem:LANGUAGE or id (unset: as in training; id without a record)."
    )
    episode_documents: str | None = HfArg(
        default=None,
        help="Support and query of a word come from different documents, any, or blocks apart "
        "(unset: different, with the figures of any beside them).",
    )
    meta_algorithm: str | None = HfArg(default=None, help="maml, proto-maml or protonet.")
    inner_steps: int | None = HfArg(default=None, help="SGD steps of the inner loop.")
    inner_lr: float | None = HfArg(default=None, help="Learning rate of the inner loop.")
    task_files: list[str] = HfArg(
        default_factory=list,
        help="Files of labelled tasks: adaptation to those that training held out, and to their held-out classes.",
    )
    task_window: int | None = HfArg(
        default=None, help="Tokens that are read of a text of task_files (unset: as in training)."
    )
    delete_downloads: bool = HfArg(default=False, help="Delete afterwards what was downloaded of the model.")
    seed: int = HfArg(default=0, help="Seed of the episodes. The same seed draws the same ones for every model.")

    def __post_init__(self) -> None:
        check_choice("words", self.words, WORDS)
        check_at_least(1, batch_size=self.batch_size)
        check_at_least(0, episodes=self.episodes, seed=self.seed)
        if self.compare is not None and self.episodes == 0:
            raise InputError("compare goes by the queries of episodes: set episodes above 0")
        if self.task_files and self.episodes == 0:
            raise InputError("task_files are for episodes: set episodes above 0")
