import pytest

from pico_maml.recipes.compare.budget import StepCost
from pico_maml.recipes.compare.dry_run import describe
from pico_maml.recipes.compare.follow_up_cost import FollowUpCost
from pico_maml.recipes.compare.plan import Plan
from pico_maml.recipes.compare.study import Contrast, Run
from pico_maml.trainers import InputError


def test_arms_add_their_recipes_and_arguments_to_the_base(new_study):
    study = new_study(arguments={"learning_rate": "1e-3", "held_out_rule": "form"})
    vanilla, added = (study.arms[name].arguments().training for name in ("vanilla", "added"))
    assert (vanilla.hybrid_ratio, added.hybrid_ratio) == (0, 0.5)
    assert (added.hybrid_mode, vanilla.learning_rate, added.learning_rate) == ("add", 1e-3, 1e-3)
    assert study.control.name == "vanilla"


def test_a_study_for_gpus_is_checked_on_a_machine_without_one(new_study, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    study = new_study(arguments={"bf16": "true", "held_out_rule": "form"})
    assert study.control.arguments().training.bf16
    assert not any("use_cpu" in argument for argument in study.control.argv), "the runs themselves go where they can"


def test_whole_seeds_come_first_and_the_full_budget_before_parts(new_study):
    names = [run.name for run in new_study(seeds=[5, 7], budgets=[0.25, 1.0]).runs()]
    assert names[:6] == ["vanilla-5", "added-5", "paper-5", "vanilla-7", "added-7", "paper-7"]
    assert names[6] == Run("vanilla", 5, 0.25).name == "vanilla-5-0.25"


def test_every_arm_is_tested_against_each_of_its_controls(study):
    tests = study.tests()
    assert tests[0] == Contrast("added", "vanilla", "loss")
    assert len(tests) == len(set(tests)) == 6
    assert Contrast("paper", "added", "prototypes") in tests


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"arms": {"a": {}, "b": {}}}, "exactly one"),
        ({"arms": {"a": {}, "b": {"control": "c"}}}, "'c'"),
        ({"arms": {"a": {}, "b": {"control": "a", "recipe": "x"}}}, "'b'"),
        ({"arms": {"a": {}, "b": {"control": "a", "arguments": {"seed": "3"}}}}, "seed"),
        ({"arms": {"a": {}, "b": {"control": "a", "arguments": {"hybrid_rato": "3"}}}}, "hybrid_ratio"),
        ({"arguments": {"seed": "3"}}, "seed differ from run to run"),
        ({"arguments": {"publish_to": "user/x"}}, "publish finished runs with `publish`"),
        ({"arguments": {}}, "hold out different words .*paper by id"),
        (
            {"arms": {"a": {}, "b": {"control": "a", "arguments": {"vocab_size": "512"}}}},
            r"'b': its loss .*\(vocab_size\)",
        ),
        (
            {"arms": {"a": {}, "b": {"control": "a", "arguments": {"dataset": "x.txt"}}}},
            r"'b': its loss .*\(dataset\)",
        ),
        ({"arms": {"a": {}, "b": {"control": "a", "arguments": {"block_size": "64"}}}}, "block_size"),
        ({"base": ["no-such-recipe"]}, "no-such-recipe"),
        ({"measures": {"loss": "small"}}, "small"),
        ({"measures": {"loss": "-1"}}, "above 0"),
        ({"measures": {"f1": "0.1"}}, "no measure f1"),
        ({"measures": {"ner/head/en_ewt": "0.1"}}, "needs `ner`"),
        ({"measures": {"prototypes": "0.1"}, "adaptation": {}}, "needs `adaptation`"),
        ({"primary": ["added: loss"]}, "ARM vs CONTROL"),
        ({"primary": ["vanilla vs added: loss"]}, "vanilla vs added"),
        ({"primary": ["added vs vanilla: perplexity"]}, "perplexity"),
        ({"primary": ["added vs vanilla: loss"] * 2}, "twice"),
        ({"primary": [f"added vs vanilla: loss/{i}" for i in range(7)]}, "at most 6"),
        ({"budget": "hours"}, "hours"),
        ({"budgets": [0.5]}, "0.5"),
        ({"seeds": [1, 1]}, "twice"),
        ({"seeds": []}, "seeds"),
        ({"arms": "{"}, "JSON"),
    ],
)
def test_what_is_wrong_is_named(new_study, changes, named):
    with pytest.raises(InputError, match=named):
        new_study(**changes)


@pytest.mark.parametrize(
    ("measure", "named"),
    [
        ("few_shot/linear/5/sample", None),
        ("few_shot/linear/5/sample/sample", "no test set sample"),
        ("few_shot/full/5/sample", "no method full"),
        ("few_shot/linear/7/sample", "no 7 shots"),
        ("few_shot/linear/5/en_ewt", "does not train on en_ewt"),
        ("few_shot/linear/5", "is few_shot/METHOD/K/TREEBANK"),
        ("ner/head/sample/da_ddt", "no test set da_ddt"),
    ],
)
def test_measures_of_few_shots_and_test_sets_must_be_in_the_study(new_study, measure, named):
    sections = {
        "ner": {"modes": ["head"], "train_on": ["sample"], "evaluate_on": ["sample"]},
        "few_shot": {"train_on": ["sample"], "shots": [1, 5], "few_shot_methods": ["linear"]},
    }
    if named is None:
        assert new_study(**sections, measures={measure: "0.02"}, primary=[]).margins == {measure: 0.02}
    else:
        with pytest.raises(InputError, match=named):
            new_study(**sections, measures={measure: "0.02"}, primary=[])


@pytest.mark.parametrize("few_shot", [{"shots": [5]}, {"train_on": ["sample"]}])
def test_few_shots_need_treebanks_and_mentions(new_study, few_shot):
    with pytest.raises(InputError, match="few_shot needs train_on"):
        new_study(few_shot=few_shot, primary=[])


def test_ner_measures_must_be_of_a_mode_and_treebank_of_the_study(new_study):
    ner = {"modes": ["head"], "train_on": ["sample"], "evaluate_on": ["sample"]}
    assert new_study(ner=ner, measures={"ner/head/sample": "0.02"}, primary=[]).margins == {"ner/head/sample": 0.02}
    with pytest.raises(InputError, match="full"):
        new_study(ner=ner, measures={"ner/full/sample": "0.02"}, primary=[])


def test_every_arm_is_measured_on_the_episodes_of_the_control(study):
    argv = study.evaluation()
    assert {
        "--episodes=20",
        "--readout=previous",
        "--n_way=32",
        "--held_out_rule=form",
        "--held_out_words=0.2",
    } <= set(argv)


def test_what_a_sweep_refuses_is_an_error_before_the_first_run(new_study):
    ner = {"modes": ["head"], "mode": "head", "train_on": ["sample"], "evaluate_on": ["sample"]}
    with pytest.raises(InputError, match="a sweep goes through modes and seeds"):
        new_study(ner=ner, measures={"ner/head/sample": "0.02"}, primary=[])


@pytest.mark.parametrize(("seeds", "power"), [([1], "One seed decides nothing"), ([1, 2, 3], "loss: 0.00")])
def test_plan_says_what_the_seeds_can_decide(new_study, seeds, power):
    study = new_study(seeds=seeds)
    cost = StepCost(flops=1e9, tokens=64, next_token_tokens=64, seconds=0.1, sampling_seconds=0, disk=10)
    steps = {arm: {1.0: 4} for arm in study.arms}
    text = describe(study, Plan(dict.fromkeys(study.arms, cost), steps, FollowUpCost()))
    assert power in text
    assert "nan" not in text


def test_arms_may_train_on_different_text_if_their_loss_is_of_the_same(new_study, tmp_path):
    held_out, other = tmp_path / "held_out.jsonl", tmp_path / "other.jsonl"
    for file in (held_out, other):
        file.write_text('{"text": "one"}\n')
    arms = {"a": {}, "b": {"control": "a", "arguments": {"dataset": str(other)}}}
    shared = {"eval_dataset": str(held_out), "tokenizer": "user/tokenizer", "held_out_rule": "form"}
    study = new_study(arms=arms, arguments=shared, primary=[])
    assert list(study.arms) == ["a", "b"]
    with pytest.raises(InputError, match="tokenizer"):
        new_study(arms={"a": {}, "b": {"control": "a", "arguments": {"tokenizer": "user/t"}}}, primary=[])
    assert new_study(arms=arms, primary=[], measures={"prototypes": "0.02"}), "without a loss"
