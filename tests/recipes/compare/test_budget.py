from dataclasses import replace
from pathlib import Path

import pytest

from pico_maml.recipes.arguments.parser import parse
from pico_maml.recipes.compare.budget import (
    StepCost,
    expected,
    fit,
    gradient_measurements,
    run_arguments,
    steps_of_run,
)
from pico_maml.recipes.compare.study import Run
from pico_maml.recipes.pretrain.arguments import TYPES, PretrainArguments
from pico_maml.trainers import InputError
from pico_maml.trainers.episodes import episode_generator, has_episode

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
    assert plan["vanilla"] == {1.0: 450}, "the steps of its arguments"
    assert (plan["added"][1.0], plan["paper"][1.0]) == steps


@pytest.mark.parametrize("budget", ["flops", "next_token_tokens"])
def test_a_run_gets_the_steps_that_fit_its_own_draws(new_study, costs, budget):
    study = new_study(budget=budget)
    tokens = 4096.0
    plain, rare, common = (expected(study.arms[arm], tokens) for arm in ("vanilla", "paper", "added"))
    index = {"flops": 2, "next_token_tokens": 1}[budget]
    costs = {
        "vanilla": replace(COST, tokens=tokens, **{budget: plain[index]}),
        "paper": replace(COST, tokens=tokens, **{budget: rare[index]}),
        "added": replace(COST, tokens=tokens, **{budget: common[index]}),
    }
    steps = [steps_of_run(study, costs, Run("paper", seed, 1.0)) for seed in range(8)]
    assert len(set(steps)) > 1
    assert sum(steps) / 8 == pytest.approx(fit(study, costs)["paper"][1.0], rel=0.03)
    assert steps_of_run(study, costs, Run("vanilla", 3, 1.0)) == 450
    with_episode = (rare[index] / 2 - plain[index] / 2 * 0.5) / 0.5
    for seed, count in enumerate(steps):
        drawn = [has_episode(episode_generator(seed, step, i), 0.5) for step in range(count + 1) for i in range(2)]
        spent = [with_episode if episode else plain[index] / 2 for episode in drawn]
        assert sum(spent[:-2]) <= 450 * plain[index] * (1 + 1e-6) < sum(spent) + 1e-6 * sum(spent)


@pytest.mark.parametrize(("budget", "steps"), [("flops", 440), ("seconds", 443), ("tokens", 450)])
def test_what_is_counted_before_the_first_step_comes_off_the_budget_of_every_run(new_study, costs, budget, steps):
    costs["added"] = replace(COST, once_flops=1000, once_seconds=7)
    study = new_study(budget=budget, budgets=[0.5, 1.0])
    assert fit(study, costs)["added"] == {0.5: steps - 225, 1.0: steps}
    costs["vanilla"] = replace(COST, once_flops=1000, once_seconds=7)
    assert fit(study, costs)["added"][1.0] == 450


def test_a_run_pays_for_what_is_counted_before_its_own_draws(new_study, costs):
    study = new_study(budget="flops")
    plain, _, common = (expected(study.arms[arm], 4096.0)[2] for arm in ("vanilla", "paper", "added"))
    costs = {arm: replace(COST, tokens=4096.0, flops=plain) for arm in costs}
    costs["added"] = replace(costs["added"], flops=common)
    free = steps_of_run(study, costs, Run("added", 1, 1.0))
    costs["added"] = replace(costs["added"], once_flops=45 * plain)
    assert steps_of_run(study, costs, Run("added", 1, 1.0)) == pytest.approx(0.9 * free, rel=0.01)


def test_shares_of_the_budget(new_study, costs):
    plan = fit(new_study(budgets=[0.2, 0.5, 1.0]), costs)
    assert plan["added"] == {0.2: 72, 0.5: 180, 1.0: 360}


def test_an_arm_that_does_not_fit_is_named(new_study, costs):
    with pytest.raises(InputError, match="'added': not one step fits"):
        fit(new_study(), costs | {"added": replace(COST, flops=1e9)})


def test_a_run_without_a_step_because_of_its_draws_is_an_error(new_study):
    study = new_study(arguments={"held_out_rule": "form", "max_steps": "1"})
    tokens = 4096.0
    costs = {}
    for arm in study.arms:
        _, next_token_tokens, flops = expected(study.arms[arm], tokens)
        costs[arm] = replace(COST, flops=flops, tokens=tokens, next_token_tokens=next_token_tokens)
    cheap, dear = (first_step_with(episodes) for episodes in (0, 2))
    assert steps_of_run(study, costs, Run("added", cheap, 1.0)) >= 1
    with pytest.raises(InputError, match="not one step with the episodes that its seed draws"):
        steps_of_run(study, costs, Run("added", dear, 1.0))


def first_step_with(episodes: int) -> int:
    """The first seed that draws so many episodes for the two micro-batches of the first step."""
    return next(
        seed
        for seed in range(100)
        if sum(has_episode(episode_generator(seed, 0, i), 0.5) for i in range(2)) == episodes
    )


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


def test_measurements_of_gradients_are_charged(new_study):
    shared = {"recipes": ["episodes/paper", "episodes/gradient-share"], "control": "vanilla"}
    study = new_study(arms={"vanilla": {"arguments": {"hybrid_ratio": "0"}}, "share": shared}, primary=[])
    (_, _, plain), (_, _, mixed) = (expected(study.arms[arm], 4096.0) for arm in ("vanilla", "share"))
    assert gradient_measurements(study.arms["vanilla"], 4096.0, 450) == 0
    # Of two micro-batches a step half are episodes, so a step of both kinds costs as much as one measurement.
    assert gradient_measurements(study.arms["share"], 4096.0, 450) == pytest.approx(7 * mixed)
    assert gradient_measurements(study.arms["share"], 4096.0, 1) == pytest.approx(mixed)
    assert mixed != plain
