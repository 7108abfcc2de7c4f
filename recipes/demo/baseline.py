"""The demo without episodes, also from counts: figures of two runs that are kept, beside which it shows its own."""

from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...trainers.class_episodes.config import ClassEpisodeConfig
from ...trainers.runs.json_files import read_json, write_json
from ..arguments.dynamics import DynamicsArguments
from ..arguments.parser import CONFIGS, parse
from ..arguments.yaml_file import read_yaml
from ..pretrain.arguments import TYPES, PretrainArguments
from ..pretrain.start import CORPUS_HASH
from .outcome import Outcome

FILE = Path(__file__).with_name("baseline.json")
RECIPE = CONFIGS / "recipes" / "demo.yaml"
# What has no effect on the weights of a run without episodes, or on its perplexity.
WITHOUT_EFFECT = {f.name for cls in (ClassEpisodeConfig, DynamicsArguments) for f in fields(cls)} | {
    *("hybrid_ratio", "hybrid_mode", "query_loss_weight", "query_loss_warmup_steps", "query_loss_annealing"),
    *("episode_gradient_share", "episode_sampler", "episode_states", "episode_labels", "episode_pool"),
    *("first_order", "learn_inner_lr", "head_layers", "head_hidden_dim", "head_dropout", "head_initializer"),
    *("output_dir", "run_name", "logging_steps", "save_steps", "eval_steps", "disable_tqdm", "report_to"),
    *("eval_episodes", "console", "resume"),
}


@dataclass(frozen=True)
class Figures:
    """What a demo ended with."""

    perplexity: float
    ner_f1: float

    @classmethod
    def of(cls, outcome: Outcome) -> "Figures":
        """Those of a finished demo."""
        return cls(outcome.perplexity, outcome.ner["f1"])


@dataclass(frozen=True)
class Baseline:
    """Figures of the demo without episodes, and of what they are."""

    corpus: str  #: a hash of its text
    torch: str  #: version
    recipe: dict[str, Any]  #: the shipped recipe, but for its episodes
    vanilla: Figures  #: without episodes
    counts: Figures  #: without episodes, and with an embedding that starts from counts of neighbours

    @classmethod
    def of(cls, vanilla: Outcome, counts: Outcome) -> "Baseline":
        """The figures of two finished demos without episodes."""
        corpus = vanilla.arguments()[CORPUS_HASH]["dataset"]
        return cls(corpus, version("torch"), recipe(), Figures.of(vanilla), Figures.of(counts))

    @classmethod
    def read(cls) -> "Baseline":
        """The kept figures."""
        saved = read_json(FILE)
        vanilla, counts = Figures(**saved.pop("vanilla")), Figures(**saved.pop("counts"))
        return cls(**saved, vanilla=vanilla, counts=counts)

    def write(self) -> None:
        """Keep the figures."""
        write_json(FILE, asdict(self))


def recipe() -> dict[str, Any]:
    """The shipped recipe, but for its episodes."""
    return {name: value for name, value in read_yaml(RECIPE).items() if name not in WITHOUT_EFFECT}


def beside(outcome: Outcome) -> list[str]:
    """Lines that show a demo with episodes beside the kept one without; none for a demo without episodes."""
    arguments = outcome.arguments()
    if arguments["hybrid_ratio"] == 0:
        return []
    if other := differences(arguments):
        names = ", ".join(other)
        return [f"No figures without episodes are kept for another {names}: --hybrid_ratio 0 makes them."]
    kept = Baseline.read()
    own = arguments[CORPUS_HASH]["dataset"]
    note = "" if own == kept.corpus else f", on the prose of {kept.corpus}, which is not quite that of {own}"
    perplexities = [f"{figures.perplexity:,.1f}" for figures in (kept.vanilla, kept.counts)]
    f1 = [f"{figures.ner_f1:.2f}" for figures in (kept.vanilla, kept.counts)]
    return [
        f"Beside the same without episodes (kept figures{note}), and with --init_embeddings svd too",
        f"  perplexity             {outcome.perplexity:>8,.1f}  beside {'  and '.join(perplexities)}",
        f"  NER, test F1           {outcome.ner['f1']:>8.2f}  beside {'  and '.join(f1)}",
        "    one seed each: docs/do-episodes-help.md has what more seeds say",
    ]


def differences(arguments: dict[str, Any]) -> list[str]:
    """Names of the arguments of a run, apart from its episodes, that are not those of the kept one."""
    shipped = PretrainArguments(*parse(TYPES, ["--config", "demo", "--output_dir", "unused"], prog="demo")).saved()
    named = {name for name in shipped if arguments.get(name) != shipped[name]}
    return sorted(named - WITHOUT_EFFECT)
