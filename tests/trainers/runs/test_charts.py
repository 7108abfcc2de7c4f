"""What charts compare accuracies with, and the curves of sources."""

import json

from report_runs import ARGUMENTS, write_run

from pico_maml.trainers.runs.charts import chance_level, charts_of
from pico_maml.trainers.runs.reader import load_run


def test_chance_is_one_in_n_ways_of_word_episodes_and_unknown_for_classes_of_words(tmp_path):
    words, classes, vanilla = (tmp_path / name for name in ("words", "classes", "vanilla"))
    for folder in (words, classes, vanilla):
        write_run(folder, 20, episodes=folder != vanilla)
    arguments = ARGUMENTS | {"episode_classes": "clusters"}
    (classes / "arguments.json").write_text(json.dumps(arguments))
    assert [chance_level(load_run(folder, "run")) for folder in (words, classes, vanilla)] == [1 / 4, None, None]


def test_metrics_of_sources_have_a_line_each_in_charts_of_their_own(tmp_path):
    plain = load_run(write_run(tmp_path / "plain", 20), "plain")
    assert not [chart.key for chart in charts_of([plain]) if "by_source" in chart.key]
    log = {"next_token_loss/web": 3.0, "next_token_loss/books": 2.0, "tokens_seen/web": 5, "step": 20}
    with (write_run(tmp_path / "mixed", 20) / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(log) + "\n")
    charts = {chart.key: chart for chart in charts_of([plain, load_run(tmp_path / "mixed", "mixed")])}
    losses = charts["next_token_loss_by_source"].lines
    assert [(line.metric, line.name, line.dash) for line in losses] == [
        ("next_token_loss/books", "books", "solid"),
        ("next_token_loss/web", "web", "dash"),
    ]
    assert [line.name for line in charts["tokens_seen_by_source"].lines] == ["web"]
    assert "eval_perplexity_by_source" not in charts
