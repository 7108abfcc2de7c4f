"""The page of a study with invented results: three arms, three seeds, three budgets, NER and few-shot training."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_runs import write_run

from pico_maml.recipes.compare.budget import StepCost
from pico_maml.recipes.compare.follow_up_cost import FollowUpCost
from pico_maml.recipes.compare.page.methods import methods
from pico_maml.recipes.compare.page.render import write_page
from pico_maml.recipes.compare.plan import Plan
from pico_maml.trainers.runs.work_folder import WorkFolder
from pico_maml.trainers.tuning.few_shot import FewShotScore
from pico_maml.trainers.tuning.few_shot_files import save_few_shot

EFFECTS = {"vanilla": 0.0, "added": 0.03, "paper": 0.15}
SHARES = (0.25, 0.5, 1.0)
NAMES = ("loss", "prototypes", "few_shot/linear/5/sample", "few_shot/linear/20/sample")
MEASURES = dict.fromkeys(NAMES, "0.02")


@pytest.fixture
def study(new_study):
    return new_study(
        measures=MEASURES,
        few_shot={"train_on": ["sample"], "shots": [1, 5, 20], "draws": 4},
        budgets=SHARES,
        primary=["added vs vanilla: loss", "paper vs vanilla: loss"],
    )


def write_results(folder: Path, generator: np.random.Generator) -> None:
    for arm, effect in EFFECTS.items():
        for seed in (1, 2, 3):
            run = write_run(folder / "runs" / f"{arm}-{seed}", episodes=arm != "vanilla", dynamics=True, seed=seed)
            write_few_shot(run / "few_shot-sample", effect, seed)
            for share in SHARES:
                loss = 3.5 - 0.3 * np.log2(share) + effect + 0.01 * generator.normal()
                write_result(folder, arm, seed, share, float(loss))


def write_few_shot(folder: Path, effect: float, seed: int) -> None:
    scores = []
    for shots in (1, 5, 20):
        for draw in range(4):
            hits = np.random.default_rng((seed, draw, shots)).random(80) < 0.2 + 0.15 * np.log(shots) - effect
            counts = np.stack([hits, np.ones(80), np.ones(80)], axis=-1).astype(int)
            scores.append(FewShotScore("linear", shots, draw, 3 * shots, "test", float(hits.mean()), counts))
    save_few_shot(folder, {"few_shot_treebank": "sample"}, scores)


def write_result(folder: Path, arm: str, seed: int, share: float, loss: float) -> None:
    name = f"{arm}-{seed}" + ("" if share == 1 else f"-{share:g}")
    values = {"loss": loss, "prototypes": 0.2 - EFFECTS[arm] / 4 + 0.001 * seed, "fresh_head": 0.2}
    values |= {measure: 0.4 for measure in MEASURES if measure.startswith("few_shot")}
    spent = dict.fromkeys(("flops", "tokens", "next_token_tokens", "seconds"), 1e12 * share)
    result = {"arm": arm, "seed": seed, "share": share, "steps": 300, "values": values, "spent": spent}
    within = {"trained_head": 0.3} if arm != "vanilla" else {}
    path = folder / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result | {"within": within, "versions": {"torch": "2.7"}, "seconds": 60.0}))


def test_the_page_has_every_section_and_every_table_as_csv_and_latex(study, tmp_path):
    write_results(tmp_path, np.random.default_rng(0))
    costs = {arm: StepCost(1e9, 1000, 1000, 2.0, 0.0, 1) for arm in EFFECTS}
    plan = Plan(costs, {arm: {share: int(300 * share) for share in SHARES} for arm in EFFECTS}, FollowUpCost(5.0))
    said = write_page(study, WorkFolder(tmp_path), plan)
    assert said.startswith("added vs") or "added against vanilla in loss" in said
    page = (tmp_path / "index.html").read_text()
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == [
        "Exploratory",
        "Held-out loss while training",
        "Compute to reach a loss",
        "Few labelled sentences",
        "All values",
        "Tables",
        "Methods",
        "Configurations and versions",
    ]
    tables = {path.stem for path in (tmp_path / "tables").glob("*.csv")}
    assert tables == {"verdicts", "runs", "few_shot", "costs", "trained_head", "compute_to_loss"}
    assert tables == {path.stem for path in (tmp_path / "tables").glob("*.tex")}
    assert page.count("download=") == 2 * len(tables)
    verdicts = pd.read_csv(tmp_path / "tables" / "verdicts.csv").set_index(["arm", "control", "measure"])
    assert verdicts.loc[("paper", "vanilla", "loss"), "verdict"] == "worse"
    assert verdicts.loc[("paper", "vanilla", "few_shot/linear/20/sample"), "sentences"] == 80
    few_shot = pd.read_csv(tmp_path / "tables" / "few_shot.csv").set_index(["label", "shots"])
    row = few_shot.loc["vanilla", 20]
    assert (row["seeds"], row["draws"]) == (3, 4)
    draws = [np.random.default_rng((seed, draw, 20)).random(80) for seed in (1, 2, 3) for draw in range(4)]
    scores = np.array(draws) < 0.2 + 0.15 * np.log(20)
    assert row["f1"] == pytest.approx(np.mean(scores), abs=1e-4)
    assert row["low"] < row["f1"] < row["high"]
    assert row["draws_low"] < row["f1"] < row["draws_high"]


def test_the_methods_say_what_arms_share_what_is_charged_and_which_seeds_came_later(new_study):
    arms = {"vanilla": {}, "svd": {"arguments": {"init_embeddings": "svd"}, "control": "vanilla"}}
    study = new_study(arms=arms, primary=[])
    costs = {arm: StepCost(1e9, 1000, 1000, 2.0, 0.0, 1, once_seconds=5.0 * (arm == "svd")) for arm in arms}
    plan = Plan(costs, {arm: {1.0: 300} for arm in arms}, FollowUpCost(5.0))
    text = methods(study, plan)
    assert "share the initial weights (but for svd, with another start) and the order of the data" in text
    assert "the time to draw episodes and to count text before the first step was measured" in text
    assert "added" not in text
    later = plan.with_seeds([1, 2, 3], [1, 2], "2026-11-26").with_seeds([1, 2, 3], [1, 2, 3], "2026-11-27")
    assert "of which 3 on 2026-11-26 were added after runs had finished" in methods(study, later)
    assert "FLOPs" not in methods(new_study(arms=arms, primary=[], budget="tokens"), plan)
