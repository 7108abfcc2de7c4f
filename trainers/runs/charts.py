"""Which curves are shown, how they are called, and which figure of the paper they are in the manner of."""

from dataclasses import dataclass

from .reader import RunData


@dataclass(frozen=True)
class Series:
    """One logged metric in a chart: its name in metrics.jsonl, in the legend, and its line (solid, dash or dot)."""

    metric: str
    name: str
    dash: str = "solid"


@dataclass(frozen=True)
class Chart:
    """A chart of logged metrics over training.

    Attributes:
        key: also the name of its figure's file.
        title, unit: for people.
        series: what is drawn for each run.
        text: what is shown, in a sentence or two.
        percent: values are shares.
        log: the y axis is logarithmic.
        chance: a line at 1 / N.
    """

    key: str
    title: str
    unit: str
    series: tuple[Series, ...]
    text: str
    percent: bool = False
    log: bool = False
    chance: bool = False

    def shown_for(self, runs: list[RunData]) -> bool:
        """Whether any run has any of it."""
        return any(run.last(series.metric) == run.last(series.metric) for run in runs for series in self.series)


CHARTS = (
    Chart(
        "next_token_loss",
        "Next-token loss",
        "nats a token",
        (Series("next_token_loss", "training"), Series("eval_next_token_loss", "held-out", "dash")),
        "Cross-entropy of the next token, never mixed with the loss of episodes.",
    ),
    Chart(
        "perplexity",
        "Held-out perplexity",
        "perplexity",
        (Series("eval_perplexity", "held-out"),),
        "exp of the held-out next-token loss, on a logarithmic axis.",
        log=True,
    ),
    Chart(
        "query_accuracy",
        "Query accuracy",
        "share correct",
        (
            Series("query_accuracy", "after the inner loop"),
            Series("prototype_accuracy", "class prototypes", "dot"),
        ),
        "Training episodes, after the inner loop; beside it nearest class prototypes of the same features, which need "
        "no head, and chance.",
        percent=True,
        chance=True,
    ),
    Chart(
        "support_accuracy",
        "Support accuracy",
        "share correct",
        (Series("support_accuracy", "after the inner loop"),),
        "The examples that the head was just adapted to.",
        percent=True,
        chance=True,
    ),
    Chart(
        "adaptation_gain",
        "Adaptation gain",
        "difference of shares",
        (Series("adaptation_gain", "after minus before"),),
        "Query accuracy after the inner loop minus before it: zero means that the inner loop does nothing.",
        percent=True,
    ),
    Chart(
        "query_loss",
        "Query loss",
        "nats",
        (Series("query_loss", "query loss"),),
        "The outer loss of the episodes, at the adapted head.",
    ),
    Chart(
        "head_weight_mean",
        "Head weights, mean",
        "weight",
        (Series("head_weight_mean", "mean"),),
        "Mean over all weights of the episodes' head before adaptation.",
    ),
    Chart(
        "head_weight_std",
        "Head weights, standard deviation",
        "weight",
        (Series("head_weight_std", "standard deviation"),),
        "Standard deviation over all weights of the episodes' head before adaptation.",
    ),
    Chart(
        "tokens_per_second",
        "Throughput",
        "tokens a second",
        (Series("tokens_per_second", "tokens a second"),),
        "Tokens drawn from the corpus a second, evaluations in between included.",
    ),
    Chart(
        "grad_norm",
        "Gradient norm",
        "2-norm",
        (Series("grad_norm", "before clipping"),),
        "Norm of the mixed outer gradient.",
        log=True,
    ),
)


def chance(run: RunData) -> float | None:
    """1 / N of a run's episodes; None where it had none."""
    ways = run.arguments.get("n_way")
    had = run.last("query_accuracy") == run.last("query_accuracy")
    return 1 / ways if had and isinstance(ways, int) and ways > 0 else None
