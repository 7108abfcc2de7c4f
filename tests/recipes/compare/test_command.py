import json
import re
from pathlib import Path

import pandas as pd
import pytest

from pico_maml.recipes.compare import command, worker
from pico_maml.recipes.compare.process import CommandFailed, run_command
from pico_maml.trainers import InputError


def test_a_study_that_is_killed_goes_on_and_says_what_it_found_from_the_same_initial_weights(argv, commands, capsys):
    assert command.main([*argv, "--dry_run"])["left"] == 6
    said = capsys.readouterr().out
    assert "6 runs, equal flops" in said
    assert "episodes: 2 x" in said
    plan = json.loads(Path("out/plan.json").read_text())["steps"]
    assert plan["vanilla"]["1.0"] == plan["same"]["1.0"] == 12

    commands.kill_at = len(commands) + 5
    with pytest.raises(commands.Killed):
        command.main(argv)
    finished = {path.name: path.stat().st_mtime_ns for path in Path("out/results").iterdir()}
    assert set(finished) == {"vanilla-1.json"}
    commands.kill_at = None
    assert command.main(argv) == {"finished": 6, "failed": 0, "left": 0}
    assert sum(name == "pretrain" and "--max_steps=12" in line for name, line in commands) >= 4
    pretrained = [line for name, line in commands[3:] if name == "pretrain"]
    assert len(pretrained) == 6, "the run that had ended before the kill is not trained again"

    said = capsys.readouterr().out
    assert "same against vanilla in loss: identical" in said
    table = pd.read_csv("out/tables/verdicts.csv")
    episodes = table[(table["arm"] == "episodes") & (table["measure"] == "loss")].iloc[0]
    assert (episodes["seeds"], episodes["smallest_sign_flip_p"]) == (2, 0.5)
    ner = table[table["measure"].str.startswith(("ner/", "few_shot/"))]
    assert set(ner["sentences"]) == {80}, "differences in F1 are crossed with the sentences of the test set"
    assert set(ner[ner["arm"] == "same"]["verdict"]) == {"identical"}
    few_shot = pd.read_csv("out/tables/few_shot.csv")
    assert set(zip(few_shot["label"], few_shot["shots"], strict=True)) == {
        (arm, k) for arm in ("vanilla", "same", "episodes") for k in (1, 5)
    }
    assert set(zip(few_shot["seeds"], few_shot["draws"], strict=True)) == {(2, 2)}
    costs = pd.read_csv("out/tables/costs.csv", index_col="arm")
    assert costs.loc["same", "flops, share of vanilla"] == 1
    assert costs.loc["episodes", "flops"] > 0, "its share depends on seconds, which ten steps hardly measure"
    page = Path("out/index.html").read_text()
    assert "identical" in page
    assert page.count("<svg") >= 3
    assert not re.search(r"(src|href)=.https?:|@import|url\(http", page), "nothing is loaded from elsewhere"

    with pytest.raises(InputError, match="other arguments: measures"):
        command.main([*argv, "--measures", '{"loss": 0.5}', "--primary", "same vs vanilla: loss"])

    losses = set()
    for arm in ("vanilla", "episodes"):
        first = json.loads(Path(f"out/runs/{arm}-1/metrics.jsonl").read_text().splitlines()[0])
        assert first["step"] == 0
        losses.add(first["eval_next_token_loss"])
    assert len(losses) == 1, "arms of a seed share initial weights"


def test_an_arm_that_cannot_be_trained_is_an_error_before_anything_is_written(argv, commands):
    arms = (
        '{"vanilla": {"arguments": {"hybrid_ratio": 0}}, "wide": {"arguments": {"n_way": 99}, "control": "vanilla"}}'
    )
    with pytest.raises(InputError, match=r"arm 'wide' cannot be trained: .*n_way"):
        command.main([*argv, "--arms", arms, "--primary", "wide vs vanilla: loss"])
    assert not Path("out").exists()


def test_a_failed_run_is_named_and_stops_no_other(argv, commands, monkeypatch, capsys):
    run = commands.run

    def fail(name, line, log, processes=1):
        if name == "pretrain" and "--seed=2" in line and "--hybrid_ratio=0" not in line:
            raise CommandFailed(name, 1, "out of memory", log)
        run(name, line, log, processes)

    monkeypatch.setattr(worker, "run_command", fail)
    arms = '{"vanilla": {"arguments": {"hybrid_ratio": 0}}, "episodes": {"control": "vanilla"}}'
    argv += ["--arms", arms, "--primary", "episodes vs vanilla: loss", "--measures", '{"loss": 0.01}']
    argv += ["--adaptation", "{}", "--ner", "{}", "--few_shot", "{}"]
    with pytest.raises(SystemExit) as end:
        command.main(argv)
    assert end.value.code == 1
    said = capsys.readouterr().out
    assert "3 of 4 runs finished, 1 failed" in said
    assert "failed: episodes-2" in said
    assert "out of memory" in said
    monkeypatch.setattr(worker, "run_command", run)
    assert command.main([*argv, "--retry_failed"])["finished"] == 4
    assert command.main([*argv, "--seeds", "1", "2", "3"])["finished"] == 6
    assert list(json.loads(Path("out/plan.json").read_text())["added"].values()) == [[3]]


def test_a_command_runs_in_a_process_of_its_own_and_its_last_lines_are_kept(tmp_path):
    log = tmp_path / "logs" / "x.log"
    with pytest.raises(CommandFailed, match=r"exit code 2: .*no config file 'nothing'"):
        run_command("evaluate", ["--config", "nothing"], log)
    assert log.read_text().startswith("$ evaluate --config nothing\n")
