"""Scores of a series of checkpoints on minimal pairs and on tasks of lm-evaluation-harness."""

import json
import math
import shutil
import sys
from pathlib import Path

import pytest
import torch
from hub_server import Account, HubServer
from published_run import TOKEN, connect
from transformers import AutoModelForCausalLM, AutoTokenizer

from pico_maml import PicoForCausalLM
from pico_maml.callbacks import load_dynamics
from pico_maml.recipes.arguments.parser import run
from pico_maml.recipes.dynamics import command as dynamics
from pico_maml.recipes.dynamics.minimal_pairs import MinimalPairs
from pico_maml.recipes.report import command as report

PAIRS = [
    ("ab cd", "cd ab", "order"),
    ("ef gh ij", "gh ef ij", "order"),
    ("aa bb cc dd", "dd cc bb aa", "order"),
    ("ab ab", "ab", "length"),
    ("ef gh", "ef gh ij", "length"),
    ("the [MASK] <|endoftext|>", "the <|endoftext|>", "length"),
]
# Effective ranks of the weights alone, which take no time.
FAST = ["--dynamics_gradients", "false", "--dynamics_probe_rows", "0", "--batch_size", "0"]


def write_pairs(path, pairs=PAIRS):
    lines = [json.dumps(dict(zip(("good", "bad", "group"), pair, strict=False))) for pair in pairs]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def measure(pretrained, held_out):
    """Run the command on the small run."""

    def go(output, *tasks, more=()):
        return dynamics.main(
            [
                "--model",
                str(pretrained),
                "--output_dir",
                str(output),
                *held_out,
                *FAST,
                "--tasks",
                *map(str, tasks),
                *more,
            ]
        )

    return go


@pytest.fixture
def scores(measure, tmp_path):
    """The folder of the series, scored on `PAIRS`."""
    assert measure(tmp_path / "out", write_pairs(tmp_path / "pairs.jsonl")) == [2, 4]
    return tmp_path / "out"


def test_score_is_the_share_of_pairs_whose_good_sentence_is_likelier(scores, pretrained, tmp_path):
    frame = load_dynamics(scores)
    model = AutoModelForCausalLM.from_pretrained(pretrained / "checkpoint-4").eval()
    tokenizer = AutoTokenizer.from_pretrained(pretrained)
    task = MinimalPairs("pairs", tmp_path / "pairs.jsonl", tokenizer, None)
    read = {token for sentence in task.good + task.bad for token in sentence}
    assert not read & {tokenizer.eos_token_id, tokenizer.mask_token_id}, "special tokens in a sentence are text"

    def nats(sentence):
        ids = tokenizer(sentence, split_special_tokens=True)["input_ids"]
        logits = model(torch.tensor([[tokenizer.eos_token_id, *ids]])).logits[0, :-1]
        return logits.log_softmax(-1)[range(len(ids)), ids].sum().item(), len(ids)

    right: dict[str, list[tuple[bool, bool]]] = {}
    for good, bad, group in PAIRS:
        (good_sum, good_length), (bad_sum, bad_length) = nats(good), nats(bad)
        hits = good_sum > bad_sum, good_sum / good_length > bad_sum / bad_length
        for source in ("pairs", f"pairs/{group}"):
            right.setdefault(source, []).append(hits)
    assert {hit for hits in right.values() for pair in hits for hit in pair} == {True, False}
    last = frame[frame.step == 4].set_index(["quantity", "source"]).value
    for source, hits in right.items():
        for quantity, values in zip(
            ("pair_accuracy", "pair_accuracy_per_token"), zip(*hits, strict=True), strict=True
        ):
            share, n = sum(values) / len(values), len(values)
            assert last[quantity, source] == pytest.approx(share)
            error = math.sqrt(share * (1 - share) / (n - 1))
            assert last[f"{quantity}_standard_error", source] == pytest.approx(error)
    assert "effective_rank" in set(frame.quantity)


def test_diverged_model_has_no_scores(model, tokenizer, tmp_path):
    pairs = MinimalPairs("pairs", Path(write_pairs(tmp_path / "pairs.jsonl")), tokenizer, None)
    assert all(math.isfinite(row.value) for row in pairs.rows(model, 4))
    model.get_input_embeddings().weight.data.fill_(math.nan)
    assert all(math.isnan(row.value) for row in pairs.rows(model, 4))


def test_scored_checkpoints_are_neither_scored_nor_measured_again(scores, measure, tmp_path, monkeypatch, capsys):
    before = (scores / "learning_dynamics.jsonl").read_text()
    pairs = tmp_path / "pairs.jsonl"
    monkeypatch.setattr(dynamics.Series, "measure", None)
    # Neither the layout of the file nor its other fields are part of what is scored.
    pairs.write_text("".join("\n" + line.replace("{", '{"id": 1, ') + "\n" for line in pairs.read_text().splitlines()))
    assert measure(scores, pairs) == []
    assert (scores / "learning_dynamics.jsonl").read_text() == before
    capsys.readouterr()
    other = write_pairs(tmp_path / "other.jsonl", [pair[:2] for pair in PAIRS])
    assert measure(scores, pairs, other, more=("--task_batch_size", "2")) == [2, 4]
    assert "step 2: other pair_accuracy 0." in capsys.readouterr().out
    assert (scores / "learning_dynamics.jsonl").read_text().startswith(before)
    frame = load_dynamics(scores)
    accuracy = frame[frame.quantity == "pair_accuracy"].set_index(["step", "source"]).value
    assert accuracy[2, "pairs"] == accuracy[2, "other"]
    assert {source for _, source in accuracy.index} == {"pairs", "pairs/order", "pairs/length", "other"}


def test_interrupted_pass_goes_on_with_the_same_result(scores, measure, tmp_path, monkeypatch):
    pairs, part = tmp_path / "pairs.jsonl", tmp_path / "part"
    rows, calls = MinimalPairs.rows, []

    def killed_at_the_second(task, *arguments):
        calls.append(task.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rows(task, *arguments)

    monkeypatch.setattr(MinimalPairs, "rows", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        measure(part, pairs)
    assert set(load_dynamics(part).query("quantity == 'pair_accuracy'").step) == {2}
    measured = dynamics.Series.measure
    monkeypatch.setattr(dynamics.Series, "measure", None)  # both steps are measured, the second is not scored
    assert measure(part, pairs) == [4]
    monkeypatch.setattr(dynamics.Series, "measure", measured)
    assert (part / "learning_dynamics.jsonl").read_text() == (scores / "learning_dynamics.jsonl").read_text()


def test_changed_file_is_noticed_and_can_be_scored_under_another_name(scores, measure, tmp_path, capsys):
    before = (scores / "learning_dynamics.jsonl").read_text()
    changed = write_pairs(tmp_path / "pairs.jsonl", [*PAIRS[:5], ("gg hh", "hh gg", "length")])
    for more in ((), ("--task_limit", "1")):
        with pytest.raises(SystemExit):
            run(lambda more=more: measure(scores, changed, more=more))
        message = capsys.readouterr().err
        assert "tasks: pairs was scored on other examples at step 2 (6 pairs" in message
        assert "rename a changed file to score it too" in message
    assert (scores / "learning_dynamics.jsonl").read_text() == before
    renamed = shutil.copy(changed, tmp_path / "second.jsonl")
    assert measure(scores, renamed, more=("--task_limit", "1")) == [2, 4]
    errors = load_dynamics(scores).query("quantity == 'pair_accuracy_standard_error'").set_index("source").value
    assert errors["second/order"].isna().all(), "a single pair of each group has no standard error"
    assert errors["second"].notna().all()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"good": "ab"}', "pairs.jsonl, line 1: no sentence 'bad', expected {"),
        ('{"good": "ab", "bad": 3}', "line 1: no sentence 'bad'"),
        ('{"good": "ab", "bad": "cd"}\n["ab", "cd"]', "line 2: no sentence 'good'"),
        ('{"good": "ab", "bad": "cd"}\nab cd', "line 2: not JSON"),
        ('{"good": "ab", "bad": "ab"}', "line 1: good and bad are the same sentence"),
        ('{"good": "ab", "bad": "cd", "group": 1}', "line 1: group must be a name, got 1"),
        ('{"good": "ab", "bad": "cd"}\n\n{"good": "a", "bad": "b", "group": "x"}', "line 3: give every pair a group"),
        ("\n \n", "pairs.jsonl: no pair in it, expected lines such as {"),
        (json.dumps({"good": "ab " * 70, "bad": "ab"}), " tokens, the model reads 64: shorten it, or remove"),
    ],
)
def test_wrong_pairs_are_one_line_and_write_nothing(lines, message, measure, tmp_path, capsys):
    (tmp_path / "pairs.jsonl").write_text(lines)
    with pytest.raises(SystemExit):
        run(lambda: measure(tmp_path / "out", tmp_path / "pairs.jsonl"))
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (["gone.jsonl"], "gone.jsonl cannot be read (No such file or directory)"),
        (["text.json"], "text.json is neither minimal pairs (.jsonl) nor a task (.yaml): rename the file"),
        (["a/same.jsonl", "same.yaml"], "two tasks are named 'same'"),
        (["gone.jsonl", "--task_limit", "0"], "task_limit must be at least 1, got 0"),
        (["gone.jsonl", "--task_batch_size", "0"], "task_batch_size must be at least 1, got 0"),
    ],
)
def test_wrong_tasks_are_one_line_and_write_nothing(tasks, message, measure, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.json").write_text("{}")
    with pytest.raises(SystemExit):
        run(lambda: measure(tmp_path / "out", *tasks))
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_harness_that_is_not_installed_names_the_extra(measure, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(SystemExit):
        run(lambda: measure(tmp_path / "out", "blimp"))
    assert "blimp needs lm-evaluation-harness: pip install 'pico-maml[lm-eval]'" in capsys.readouterr().err


def test_pairs_as_a_task_of_the_harness_have_the_same_scores(scores, measure, tmp_path, monkeypatch, capsys):
    evaluator = pytest.importorskip("lm_eval.evaluator", reason="needs lm-evaluation-harness (the extra lm-eval)")
    monkeypatch.setattr(evaluator, "add_env_info", lambda results: None)  # it starts half a dozen programs
    pairs, task = tmp_path / "ordered.jsonl", tmp_path / "blimp_like.yaml"
    write_pairs(pairs, PAIRS[:5])  # without special tokens, which the harness reads as such
    task.write_text(
        "task: blimp_like\ndataset_path: json\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: ''\n"
        "target_delimiter: ''\ndoc_to_target: 0\ndoc_to_choice: '{{[good, bad]}}'\nmetadata: {version: 1.0}\n"
        f"dataset_kwargs: {{data_files: {{test: {pairs}}}}}\n"
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
    )
    assert measure(scores, pairs, task) == [2, 4]
    assert "blimp_like acc 0." in capsys.readouterr().out
    table = load_dynamics(scores).set_index(["step", "quantity", "source"]).value
    for step in (2, 4):
        for end in ("", "_standard_error"):
            harness = table[step, f"task_acc{end}", "blimp_like"]
            assert harness == pytest.approx(table[step, f"pair_accuracy{end}", "ordered"])
    assert measure(scores, task) == []
    write_pairs(pairs, PAIRS[:4])
    for arguments, message in (
        ([task], "blimp_like was scored on other examples at step 2 (5 examples"),
        ([tmp_path / "gone.yaml"], "there is no file"),
    ):
        with pytest.raises(SystemExit):
            run(lambda arguments=arguments: measure(scores, *arguments))
        assert message in capsys.readouterr().err.strip().splitlines()[-1]
    task.write_text("task: blimp_like\ndataset_path: no/such\n")
    with pytest.raises(SystemExit):
        run(lambda: measure(scores, task))
    assert f"tasks: '{task}' cannot be loaded:" in capsys.readouterr().err.strip().splitlines()[-1]


def test_revisions_of_the_hub_are_scored_with_a_named_tokenizer(config, tokenizer, held_out, tmp_path, monkeypatch):
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    pairs, output = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "out"
    with HubServer(tmp_path / "hub", {TOKEN: Account("ada")}) as hub:
        for step in (0, 100):
            torch.manual_seed(step)
            PicoForCausalLM(config).save_pretrained(tmp_path / f"step{step}")
            hub.storage.put_folder("ada/series", f"step{step}", tmp_path / f"step{step}")
        connect(monkeypatch, hub, tmp_path / "home")
        argv = ["--model", "ada/series", "--revisions", "step100", "step0", "--tokenizer", str(tmp_path / "tokenizer")]
        argv += ["--output_dir", str(output), "--keep_downloads", "false", *held_out, *FAST]
        assert dynamics.main([*argv, "--tasks", pairs]) == [0, 100]
        assert dynamics.main([*argv, "--tasks", pairs]) == []
    assert set(load_dynamics(output).query("quantity == 'pair_accuracy'").step) == {0, 100}


def test_page_and_table_show_scores_with_intervals_beside_chance(scores, tmp_path):
    page = report.main([str(scores), "--output", str(tmp_path / "report"), "--formats", "none"]).read_text()
    data = json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    shown = {kind["title"]: kind for kind in data["dynamics"]}
    accuracy = shown["Accuracy on minimal pairs"]
    assert (accuracy["share"], accuracy["chance"]) == (True, [0.5])
    assert [line["module"] for line in accuracy["series"]] == ["pairs", "pairs/length", "pairs/order"]
    whole = load_dynamics(scores).query("source == 'pairs'").set_index(["quantity", "step"]).value
    line = accuracy["series"][0]
    assert line["y"] == pytest.approx([whole["pair_accuracy", step] for step in (2, 4)])
    errors = [whole["pair_accuracy_standard_error", step] for step in (2, 4)]
    assert line["interval"] == pytest.approx([1.96 * error for error in errors])
    assert not [title for title in shown if "error" in title]
    ranks = shown["Effective rank of weights"]
    assert (ranks["share"], ranks["chance"]) == (False, [])
    assert "interval" not in ranks["series"][0]
    assert "Bars of scores are 95 % intervals" in page
    assert f"{line['y'][0]:.4g} ± {line['interval'][0]:.2g} (step 2)" in page
    table = (tmp_path / "report" / "tables" / "learning_dynamics.csv").read_text()
    assert "pair_accuracy_standard_error" in table
