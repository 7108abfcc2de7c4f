import json

import pytest

from pico_maml.recipes.publish.queue import PublishQueue
from pico_maml.trainers.runs.learning_dynamics import DynamicsFile, Row

ACCURACY = {"mean": 0.5, "low": 0.4, "high": 0.6}


@pytest.fixture
def entry(run_folder):
    """A finished run with everything a card can show."""
    dynamics = DynamicsFile(run_folder / "learning_dynamics.jsonl")
    for step in (2, 4):
        dynamics.append(step, 64 * step, [Row("effective_rank", 0.1 * step, layer=0), Row("cka", 0.5, layer=0)])
    adapted = {"n_way": 4, "k_shot": 2, "chance": 0.25, "prototypes": ACCURACY, "fresh": [ACCURACY], "trained": None}
    (run_folder / "results.json").write_text(json.dumps({"steps": 4, "adaptation": adapted}))
    ner = {"treebank": "da_ddt", "mode": "full", "baselines": {"gazetteer": 0.37}}
    scores = {"f1": 0.53, "strict_f1": 0.55, "support": 565}
    (run_folder / "ner").mkdir()
    (run_folder / "ner" / "results.json").write_text(json.dumps(ner | {"scores": {"test": scores}}))
    queue = PublishQueue(run_folder)
    queue.freeze(run_folder, 4, final=True)
    return queue.waiting()[0]
