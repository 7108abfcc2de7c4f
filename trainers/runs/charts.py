"""The catalogue of charts: what the report's page, its figures, a model card and the trackers draw of a run.

`CHARTS` draw metrics of metrics.jsonl, `BY_SOURCE` those of each source of the text, and `QUANTITIES` are the rows of
learning_dynamics.jsonl. A metric or quantity that is to be seen anywhere is added here, and only here.
"""

from dataclasses import dataclass, replace
from itertools import cycle

from ..word_classes.class_config import WORDS
from .reader import RunData


@dataclass(frozen=True)
class Series:
    """A line of a chart: its metric in metrics.jsonl, its name in the legend, its style (solid, dash or dot)."""

    metric: str
    name: str
    dash: str = "solid"


@dataclass(frozen=True)
class Chart:
    """A chart of logged metrics over training."""

    key: str  #: identifies the chart on the page; without `series` also the metric of its only line
    title: str
    unit: str  #: of the y axis
    text: str  #: one or two sentences on what the chart shows
    series: tuple[Series, ...] = ()  #: lines of each run
    percent: bool = False  #: the values are shares
    log: bool = False  #: the y axis is logarithmic
    chance: bool = False  #: draw a line at 1 / N
    phases: bool = False  #: the phases of its first line are analysed
    on_card: bool = False  #: a model card and the trackers show it
    card_series: tuple[Series, ...] = ()  #: lines that only they show

    @property
    def lines(self) -> tuple[Series, ...]:
        """The lines of each run."""
        return self.series or (Series(self.key, self.title),)

    def has_data(self, runs: list[RunData]) -> bool:
        """True when any of the runs logged any of the metrics."""
        return any(len(run.curve(series.metric)) for run in runs for series in self.lines)


CHARTS = (
    Chart(
        "next_token_loss",
        "Next-token loss",
        "nats a token",
        "Cross-entropy of the next token, without the loss of episodes.",
        (Series("next_token_loss", "training"), Series("eval_next_token_loss", "held-out", "dash")),
        phases=True,
        on_card=True,
    ),
    Chart(
        "perplexity",
        "Held-out perplexity",
        "perplexity",
        "exp of the held-out next-token loss, on a logarithmic axis.",
        (Series("eval_perplexity", "held-out"),),
        log=True,
        phases=True,
        on_card=True,
    ),
    Chart(
        "query_accuracy",
        "Query accuracy",
        "share correct",
        "Training episodes, after the inner loop. Two baselines: nearest class prototypes of the same features, which "
        "need no head, and chance: 1 / N, or for classes of words the share of the most frequent class.",
        (
            Series("query_accuracy", "after the inner loop"),
            Series("prototype_accuracy", "class prototypes", "dot"),
            Series("largest_class_share", "most frequent class", "dot"),
        ),
        percent=True,
        chance=True,
        phases=True,
        on_card=True,
        card_series=(Series("query_accuracy_before", "before the inner loop", "dash"),),
    ),
    Chart(
        "task_query_accuracy",
        "Query accuracy on tasks",
        "share correct",
        "Training episodes from labelled tasks, after and before the inner loop. Two baselines: nearest class "
        "prototypes of the same features, which need no head, and chance, the mean of 1 / N.",
        (
            Series("task_query_accuracy", "after the inner loop"),
            Series("task_query_accuracy_before", "before the inner loop", "dash"),
            Series("task_prototype_accuracy", "class prototypes", "dot"),
            Series("task_chance", "chance", "dot"),
        ),
        percent=True,
        on_card=True,
    ),
    Chart(
        "support_accuracy",
        "Support accuracy",
        "share correct",
        "Accuracy on the examples that the head was just adapted to.",
        percent=True,
        chance=True,
        phases=True,
    ),
    Chart(
        "adaptation_gain",
        "Adaptation gain",
        "difference of shares",
        "Query accuracy after the inner loop minus before it. At zero the inner loop changes nothing.",
        percent=True,
    ),
    Chart("query_loss", "Query loss", "nats", "Outer loss of the episodes, at the adapted head.", on_card=True),
    Chart("task_query_loss", "Query loss on tasks", "nats", "Outer loss of the episodes from labelled tasks."),
    Chart(
        "query_loss_weight",
        "Weight of the query loss",
        "weight",
        "The weight at which the gradient of an episode has the length that episode_gradient_share asks for.",
    ),
    Chart("head_weight_mean", "Head weights, mean", "weight", "Mean over the episodes' head before adaptation."),
    Chart(
        "head_weight_std",
        "Head weights, standard deviation",
        "weight",
        "Standard deviation over the episodes' head before adaptation.",
        phases=True,
    ),
    Chart("tokens_per_second", "Throughput", "tokens a second", "Tokens a second, with the time of evaluations."),
    Chart("grad_norm", "Gradient norm", "2-norm", "Outer gradient of both objectives, before clipping.", log=True),
    Chart(
        "clipped_steps",
        "Clipped steps",
        "share of steps",
        "Steps since the last log whose gradient was longer than max_grad_norm and was shortened to it.",
        percent=True,
    ),
    Chart(
        "gradient_norm",
        "Gradient norm of each objective",
        "2-norm",
        "Gradients of the decoder on the same held-out text at every step. Where both are added, the longer one "
        "decides the direction, and clipping shortens both by the same factor.",
        (
            Series("gradient_norm/next_token", "next-token loss"),
            Series("gradient_norm/query", "query loss of episodes", "dash"),
        ),
        log=True,
    ),
    Chart(
        "gradient_cosine",
        "Cosine of the gradients of both objectives",
        "cosine",
        "Above 0 a small step against one gradient lowers the other loss too, below 0 it raises it; at 0 neither.",
    ),
)


# Metrics that are logged of each source of a mixture as METRIC/NAME, and of each of eval_sources.
BY_SOURCE = (
    Chart(
        "next_token_loss",
        "Next-token loss by source",
        "nats a token",
        "Cross-entropy of the next token in training, on the text of each source of the mixture.",
    ),
    Chart(
        "eval_perplexity",
        "Held-out perplexity by source",
        "perplexity",
        "exp of the next-token loss on the held-out text of each source, on a logarithmic axis.",
        log=True,
    ),
    Chart("tokens_seen", "Tokens by source", "tokens", "Tokens that were read of each source of the mixture."),
)


def charts_of(runs: list[RunData]) -> list[Chart]:
    """The charts for which any of the runs logged a metric, with those of their sources."""
    logged = sorted({metric for run in runs for metric in run.metrics})
    by_source = []
    for chart in BY_SOURCE:
        names = [metric.removeprefix(f"{chart.key}/") for metric in logged if metric.startswith(f"{chart.key}/")]
        styles = zip(names, cycle(("solid", "dash", "dot")), strict=False)
        series = tuple(Series(f"{chart.key}/{name}", name, style) for name, style in styles)
        by_source += [replace(chart, key=f"{chart.key}_by_source", series=series)] if series else []
    return [*(chart for chart in CHARTS if chart.has_data(runs)), *by_source]


@dataclass(frozen=True)
class Quantity:
    """A quantity of the learning dynamics."""

    name: str  #: in learning_dynamics.jsonl
    title: str
    unit: str = ""  #: of the y axis on a model card
    of_matrices: bool = False  #: it is measured of weights, and of gradients where a row names an objective
    phases: bool = False  #: the phases of its curves are analysed
    on_card: bool = False  #: a model card shows it
    share: bool = False  #: its axis is that of shares, from 0 to 1
    chance: float | None = None  #: draw a line at the value of guesses


# Phases of this quantity are also ranked by layer.
RANKED = "proportional_effective_rank"
QUANTITIES = (
    Quantity(RANKED, "Proportional effective rank", "share of d", of_matrices=True, phases=True, on_card=True),
    Quantity("effective_rank", "Effective rank", of_matrices=True),
    Quantity(
        "activation_proportional_effective_rank",
        "Proportional effective rank of activations",
        "share of d",
        phases=True,
        on_card=True,
    ),
    Quantity("activation_effective_rank", "Effective rank of activations"),
    Quantity("attention_entropy_normalised", "Attention entropy, normalised", "share of maximum", on_card=True),
    Quantity("attention_entropy", "Attention entropy (nats)", phases=True),
    Quantity("cka", "Linear CKA with an earlier checkpoint", phases=True, on_card=True),
    Quantity("gradient_norm", "Norm"),
    Quantity("gradient_cosine", "Cosine of the gradients of both objectives"),
    Quantity("perplexity", "Perplexity by source"),
    Quantity("mean_text_perplexity", "Mean perplexity of the texts, by source"),
    Quantity("bits_per_byte", "Bits per byte by source"),
    Quantity("pair_accuracy", "Accuracy on minimal pairs", share=True, chance=0.5),
    Quantity(
        "pair_accuracy_per_token", "Accuracy on minimal pairs, by log-probability per token", share=True, chance=0.5
    ),
    Quantity("task_acc", "Accuracy on tasks", share=True),
    Quantity("task_acc_norm", "Accuracy on tasks, normalised by length", share=True),
    Quantity("task_exact_match", "Exact match on tasks", share=True),
    Quantity("task_perplexity", "Perplexity of the answers of tasks"),
)


def chance_level(run: RunData) -> float | None:
    """1 / N of a run's episodes; None when it logged none, or their classes were of different sizes."""
    if run.arguments.get("episode_classes", WORDS) != WORDS:
        return None
    ways = run.arguments.get("n_way")
    return 1 / ways if isinstance(ways, int) and ways > 0 and len(run.curve("query_accuracy")) else None
