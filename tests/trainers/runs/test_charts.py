"""What charts compare accuracies with."""

import json

from report_runs import ARGUMENTS, write_run

from pico_maml.trainers.runs.charts import chance_level
from pico_maml.trainers.runs.reader import load_run


def test_chance_is_one_in_n_ways_of_word_episodes_and_unknown_for_classes_of_words(tmp_path):
    words, classes, vanilla = (tmp_path / name for name in ("words", "classes", "vanilla"))
    for folder in (words, classes, vanilla):
        write_run(folder, 20, episodes=folder != vanilla)
    arguments = ARGUMENTS | {"episode_classes": "clusters"}
    (classes / "arguments.json").write_text(json.dumps(arguments))
    assert [chance_level(load_run(folder, "run")) for folder in (words, classes, vanilla)] == [1 / 4, None, None]
