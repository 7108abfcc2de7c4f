from dataclasses import replace
from pathlib import Path

import pytest

from pico_maml.recipes.arguments.parser import parse
from pico_maml.recipes.compare.budget import StepCost, expected, fit, run_arguments
from pico_maml.recipes.pretrain.arguments import TYPES, PretrainArguments
from pico_maml.trainers import InputError

COST = StepCost(flops=100, tokens=10, next_token_tokens=10, seconds=1, sampling_seconds=0, disk=1)


@pytest.fixture
def costs():
    """`added` costs a quarter more FLOPs a step, `paper` half of everything."""
    return {
        "vanilla": COST,
        "added": replace(COST, flops=125, seconds=2),
        "paper": replace(COST, flops=50, next_token_tokens=5, seconds=0.5),
    }


@pytest.mark.parametrize(
    ("budget", "steps"),
    [("flops", (360, 900)), ("tokens", (450, 450)), ("next_token_tokens", (450, 900)), ("seconds", (225, 900))],
)
def test_every_arm_gets_the_steps_that_fit(new_study, costs, budget, steps):
    plan = fit(new_study(budget=budget), costs)
    assert plan["vanilla"] == {1.0: 450}, "the steps of the demo"
    assert (plan["added"][1.0], plan["paper"][1.0]) == steps


def test_shares_of_the_budget(new_study, costs):
    plan = fit(new_study(budgets=[0.2, 0.5, 1.0]), costs)
    assert plan["added"] == {0.2: 72, 0.5: 180, 1.0: 360}


def test_an_arm_that_does_not_fit_is_named(new_study, costs):
    with pytest.raises(InputError, match="'added': not one step fits"):
        fit(new_study(), costs | {"added": replace(COST, flops=1e9)})


def test_the_schedule_is_scaled_to_the_steps_of_the_arm(study):
    argv = run_arguments(study, study.arms["added"], seed=7, steps=225, output_dir=Path("out/x"))
    training = PretrainArguments(*parse(TYPES, argv)).training
    assert (training.max_steps, training.seed, training.output_dir) == (225, 7, "out/x")
    assert (training.warmup_steps, training.query_loss_warmup_steps) == (25, 50), "half of the recipe's 50 and 100"


def test_expected_cost_of_replaced_and_added_episodes(study):
    tokens = 4096.0
    vanilla, added, paper = (expected(study.arms[name], tokens) for name in ("vanilla", "added", "paper"))
    assert vanilla[:2] == added[:2] == (tokens, tokens)
    assert paper[1] == tokens / 2
    assert paper[2] < vanilla[2] < added[2]
