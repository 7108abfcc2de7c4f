import json
import time
from dataclasses import replace
from pathlib import Path

import forked
import pytest
import torch
from transformers import LlamaConfig

from pico_maml.recipes.arguments.parser import parse, run
from pico_maml.recipes.sweep import command as sweep
from pico_maml.recipes.sweep.arguments import TYPES
from pico_maml.recipes.sweep.cost import estimate, measure
from pico_maml.trainers import InputError
from pico_maml.trainers.runs.folder import check_free_or_same
from pico_maml.trainers.runs.sweep_folder import Model, Run, SweepFolder, plan


@pytest.fixture
def inputs(model, tokenizer, tmp_path, monkeypatch):
    """Two pretrained models and two treebanks; returns the command line of a sweep over them."""
    monkeypatch.chdir(tmp_path)
    for name in ("vanilla", "maml"):
        model.save_pretrained(name)
        tokenizer.save_pretrained(name)
        with torch.no_grad():
            model.pico_decoder.embedding_proj.weight.mul_(1.1)
    for treebank, name in (("xx_a", "CD"), ("xx_b", "EF")):
        for split in ("train", "dev", "test"):
            Path("uner").mkdir(exist_ok=True)
            rows = [f"{'ab	O' + chr(10)}" * (i % 4) + f"{name}\tB-PER\nef\tO\n" for i in range(24)]
            Path(f"uner/{treebank}-ud-{split}.iob2").write_text("\n".join(rows))
    options = "--modes head full --train_on xx_a --evaluate_on xx_a xx_b --uner_dir uner --num_train_epochs 2"
    models = ["--models", "tiny/vanilla=vanilla", "tiny/maml=maml"]
    return [*models, *options.split(), "--learning_rate", "1e-2", "--output_dir", "out", "--use_cpu"]


def results(folder: str = "out") -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in Path(folder, "results").glob("*.json")}


def test_sweep_writes_one_file_a_run_and_resumes(inputs, capsys):
    assert sweep.main([*inputs, "--dry_run"])["left"] == 4
    assert not Path("out").exists()
    assert "the time is known after the first finished run" in capsys.readouterr().out
    only_vanilla = [argument for argument in inputs if argument != "tiny/maml=maml"]
    assert sweep.main(only_vanilla) == {"finished": 2, "failed": 0, "left": 0}
    before = {path: path.stat().st_mtime_ns for path in Path("out/results").iterdir()}
    sweep.main([*inputs, "--dry_run"])
    out = capsys.readouterr().out
    assert "2 runs left\n  tiny-maml-head-xx_a-42:" in out
    assert "hours of one worker" in out
    assert sweep.main(inputs) == {"finished": 4, "failed": 0, "left": 0}
    assert {path: path.stat().st_mtime_ns for path in before} == before, "finished runs are not repeated"
    assert not list(Path("out/claims").iterdir())
    assert not list(Path("out/work").iterdir())

    written = results()
    assert set(written) == {f"tiny-{kind}-{mode}-xx_a-42" for kind in ("vanilla", "maml") for mode in ("head", "full")}
    full = written["tiny-vanilla-full-xx_a-42"]
    assert full["scores"]["xx_a"]["f1"] == 1.0
    assert (full["pretraining"], full["pretraining_seed"]) == ("vanilla", 0)
    assert set(full["scores"]) == {"validation", "xx_a", "xx_b"}
    assert len(full["counts"]["xx_b"]) == 24
    assert full["entities"]["xx_a"][1] == [1, 1, 2, "PER"]
    assert full["seconds"] > 0
    # A backbone encodes train and both test sets; the validation sentences are those of a test set here.
    assert len(list(Path("out/features").iterdir())) == 2 * 3


def test_a_solver_of_heads_trains_the_heads_of_a_sweep_alone(inputs):
    sweep.main([*inputs, "--features", "all", "--head_solver", "lbfgs"])
    found = results().values()
    assert {(result["mode"], result["penalty"] is None) for result in found} == {("head", False), ("full", True)}
    with pytest.raises(InputError, match="head_solver lbfgs trains mode head, which is not among modes"):
        sweep.main([*inputs, "--modes", "full", "--head_solver", "lbfgs", "--output_dir", "other"])


def test_models_without_a_tokenizer_are_tuned_with_the_given_one(inputs):
    Path("maml").rename("own")
    for path in Path("vanilla").glob("*token*"):
        path.rename(Path("own") / path.name)
    inputs = [argument for argument in inputs if argument != "tiny/maml=maml"]
    with pytest.raises(InputError, match="no tokenizer at 'vanilla': set tokenizer to"):
        sweep.main(inputs)
    assert sweep.main([*inputs, "--tokenizer", "own"]) == {"finished": 2, "failed": 0, "left": 0}
    with pytest.raises(InputError, match="tokenizer own -> other"):
        sweep.main([*inputs, "--tokenizer", "other"])


def test_failed_run_is_reported_and_does_not_stop_the_others(inputs, capsys):
    Path("maml/model.safetensors").write_bytes(b"broken")
    with pytest.raises(SystemExit) as ended:
        run(lambda: sweep.main(inputs))
    assert ended.value.code == 1
    out = capsys.readouterr().out
    assert "2 of 4 runs finished, 2 failed, 0 left" in out
    assert "failed: tiny-maml-full-xx_a-42" in out
    assert "Traceback" in Path("out/failures/tiny-maml-head-xx_a-42.txt").read_text()
    with pytest.raises(SystemExit):
        sweep.main(inputs)
    assert "0 left" in capsys.readouterr().out, "not tried again by itself"
    Path("out/failures/tiny-maml-head-xx_a-42.txt").write_text("")  # as a full disk leaves it
    with pytest.raises(SystemExit):
        sweep.main(inputs)
    assert "failed: tiny-maml-head-xx_a-42: unknown error" in capsys.readouterr().out
    Path("maml/model.safetensors").write_bytes(Path("vanilla/model.safetensors").read_bytes())
    assert sweep.main([*inputs, "--retry_failed"]) == {"finished": 4, "failed": 0, "left": 0}


def test_killed_sweep_of_two_workers_resumes_under_submitit(inputs, capfd):
    pytest.importorskip("submitit")
    slow = [*inputs, "--seeds", "1", "2"]
    (worker,) = forked.start(sweep.main, [*slow, "--workers", "2"], log=Path("log"))
    deadline = time.time() + 600
    while len(list(Path("out/results").glob("*.json"))) < 2 and time.time() < deadline:
        time.sleep(0.01)
    forked.kill(worker)  # and its workers
    worker.join()
    finished = results()
    assert 2 <= len(finished) < 8
    stamps = {name: Path(f"out/results/{name}.json").stat().st_mtime_ns for name in finished}
    claimed = {path.name for path in Path("out/claims").iterdir()}
    assert claimed, "the workers died with claims in their hands"
    # What is left is done by two workers of submitit, each run once.
    patient = ["--slurm", '{"timeout_min": 60}']  # on a busy machine
    counts = sweep.main([*slow, "--workers", "2", "--launcher", "submitit-local", *patient])
    assert counts == {"finished": 8, "failed": 0, "left": 0}
    logs = "".join(path.read_text() for path in Path("out/logs").rglob("*_log.out"))
    for name in results():
        assert logs.count(f"{name}: xx_a F1") == (name not in finished), name
    assert {name: Path(f"out/results/{name}.json").stat().st_mtime_ns for name in finished} == stamps
    # Killed between its result and the release: such a claim means nothing any more.
    assert {path.name for path in Path("out/claims").iterdir()} <= set(finished)
    # The same seed gives the same result, interrupted or not.
    again = ["again" if argument == "out" else argument for argument in inputs]
    sweep.main([*again, "--seeds", "1"])
    for name, result in results("again").items():
        assert result["entities"] == results()[name]["entities"], name


def test_wrong_arguments_are_errors_before_anything_runs(inputs):
    def check_error(message: str, *changes: str) -> None:
        with pytest.raises(InputError, match=message):
            sweep.main([*inputs, *changes])
        assert not Path("out").exists()

    with pytest.raises(InputError, match="no models: give every pretraining run"):
        sweep.main(inputs[inputs.index("--modes") :])
    check_error(r"a model is SIZE/PRETRAINING\[/SEED\]=MODEL", "--models", "vanilla")
    check_error(r"a model is SIZE/PRETRAINING\[/SEED\]=MODEL", "--models", "tiny/maml/one=vanilla")
    check_error("maml is given as two models", "--models", "tiny/maml/1=maml", "tiny/maml/2=maml")
    check_error("two runs would be tiny-maml-full-xx_a-42", "--models", "tiny/maml=maml", "tiny/maml=vanilla")
    check_error("no tokenizer at 'nowhere'", "--models", "tiny/maml=nowhere")
    check_error("no file xx_c-ud-.*did you mean 'xx_", "--train_on", "xx_c")
    check_error("modes are head and full, got both", "--modes", "both")
    check_error("launcher must be one of", "--launcher", "ssh")
    check_error("workers must be at least 1", "--workers", "0")
    check_error("give --modes and --seeds instead", "--seed", "7")
    Path("uner/xx_b-ud-train.iob2").unlink()
    check_error("xx_b has no train split, only validation, test", "--train_on", "xx_b")
    Path("uner/xx_b-ud-test.iob2").unlink()
    check_error("xx_b has no test split, only validation", "--evaluate_on", "xx_b")


def test_sweep_resumes_only_with_the_same_arguments(inputs):
    Path("out").mkdir()
    Path("out/something").touch()
    with pytest.raises(InputError, match="out is not empty: choose another output_dir"):
        sweep.main(inputs)
    Path("out/something").unlink()
    folder = Path("out")
    arguments = {"learning_rate": 1e-2, "models": ["a"], "seeds": [1]}
    check_free_or_same(folder, arguments, sweep.MAY_GROW)
    Path("out/arguments.json").write_text(json.dumps(arguments))
    check_free_or_same(folder, {**arguments, "models": ["a", "b"], "seeds": [1, 2]}, sweep.MAY_GROW)
    with pytest.raises(InputError, match=r"learning_rate 0.01 -> 0.1; .*choose another output_dir"):
        check_free_or_same(folder, {**arguments, "learning_rate": 0.1}, sweep.MAY_GROW)


def test_a_result_of_another_model_of_the_same_name_is_an_error(tmp_path):
    folder = SweepFolder(tmp_path / "out")
    (tmp_path / "maml").mkdir()
    run = Run(Model("tiny", "maml", str(tmp_path / "maml")), "head", "xx_a", 42)
    folder.result_path(run).parent.mkdir(parents=True)
    folder.result_path(run).write_text(json.dumps(run.describe()))
    folder.check_same_model(run)
    elsewhere = tmp_path / "moved" / "maml"
    elsewhere.mkdir(parents=True)
    folder.check_same_model(replace(run, model=replace(run.model, path=str(elsewhere))))
    for changes in ({"revision": "step-6000"}, {"path": "user/other"}, {"subfolder": "checkpoints/step_100"}):
        with pytest.raises(InputError, match=f"result of tiny-maml-head-xx_a-42 with another {next(iter(changes))}, "):
            folder.check_same_model(replace(run, model=replace(run.model, **changes)))
    with pytest.raises(InputError, match="another train_on"):
        folder.check_same_model(replace(run, train_on="mine/xx_a"))


def test_runs_are_named_by_size_and_pretraining():
    assert Model.parse("tiny/maml=me/model@main") == Model("tiny", "maml", "me/model", "main")
    assert Model.parse("tiny/maml=me/model@main:a/b") == Model("tiny", "maml", "me/model", "main", 0, "a/b")
    assert Model.parse("tiny/vanilla=/a/b.c-d") == Model("tiny", "vanilla", "/a/b.c-d")
    assert Model.parse("tiny/maml/3=me/model") == Model("tiny", "maml", "me/model", pretraining_seed=3)
    assert Model.parse("tiny/maml/3=me/model").name == "tiny-maml-run3"
    runs = plan([Model("t", "m", "p")], ["head"], ["da_ddt", "all"], [1, 2])
    assert [run.name for run in runs] == ["t-m-head-da_ddt-1", "t-m-head-da_ddt-2", "t-m-head-all-1", "t-m-head-all-2"]


def test_models_are_parsed_as_in_other_commands(inputs):
    Path("run@2026").mkdir()
    Path("run@2026/last:best").mkdir()
    Path("maml").rename("run@2026/last:best/inside")
    Path("vanilla").rename("run@2026/last:best/other")
    Path("models").symlink_to("run@2026/last:best")
    models = ["tiny/maml=run@2026/last:best/inside", "tiny/vanilla=models:other"]
    arguments = [*inputs, "--modes", "head", "--models", *models]
    assert sweep.main(arguments) == {"finished": 2, "failed": 0, "left": 0}
    places = {name: (result["path"], result["subfolder"]) for name, result in results().items()}
    assert places["tiny-maml-head-xx_a-42"] == ("run@2026/last:best/inside", "")
    assert places["tiny-vanilla-head-xx_a-42"] == ("models", "other")
    with pytest.raises(InputError, match="models:other is given as two models"):
        sweep.main([*arguments, "--models", "a/b/1=models:other", "a/b/2=models:other"])


def test_killed_worker_makes_the_sweep_end_with_an_error(inputs, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "launch", lambda *arguments: 1)
    with pytest.raises(SystemExit) as ended:
        sweep.main([*inputs, "--workers", "2"])
    assert ended.value.code == 1
    assert "1 workers died, perhaps for lack of memory: the same command does what is left" in capsys.readouterr().out


def test_hours_follow_from_the_pace_of_finished_runs():
    model = Model("t", "m", "p")
    runs = [Run(model, "head", name, 1) for name in ("a", "b", "c")]
    costs = {run.name: cost for run, cost in zip(runs, (1e9, 2e9, 4e9), strict=True)}
    finished = [{**runs[0].describe(), "seconds": 1800.0}]
    text = estimate(runs[1:], costs, finished)
    assert "2 runs left" in text
    assert "6.0e+09 operations at most" in text
    assert "about 3.00 hours" in text
    assert estimate([], costs, finished) == "0 runs left"


def test_cost_counts_epochs_of_full_fine_tuning_and_one_pass_of_the_head(inputs, model):
    sweep_args, args = parse(TYPES, inputs)
    costs = measure(sweep_args, sweep_args.runs(), args)
    # 24 sentences of 2 to 5 words in each split, two sub-words a word; a classifier of 7 labels.
    lengths = [2 * (2 + i % 4) for i in range(24)]
    width, layers = model.config.d_model, model.config.n_layers
    matrices = sum(p.numel() for p in model.pico_decoder.layers.parameters() if p.ndim == 2) + 7 * width
    split = sum(2 * n * (matrices + layers * width * n) for n in lengths)
    # Two test sets; two epochs of training (three times a forward pass) and validation, or features that are cached.
    assert costs["tiny-maml-full-xx_a-42"] == pytest.approx((2 * (3 + 1) + 2) * split)
    assert costs["tiny-maml-head-xx_a-42"] == pytest.approx((1 + 1 + 2) * split)
    args.cache_features = False
    assert measure(sweep_args, sweep_args.runs(), args)["tiny-maml-head-xx_a-42"] == pytest.approx(6 * split)


def test_models_of_another_architecture_are_errors(inputs, tokenizer):
    LlamaConfig(vocab_size=400, hidden_size=32).save_pretrained("llama")
    tokenizer.save_pretrained("llama")
    with pytest.raises(InputError, match="llama is a llama model: a sweep fine-tunes Pico decoders only"):
        sweep.main([*inputs, "--models", "tiny/llama=llama"])


def test_submitit_parameters_are_json(inputs):
    sweep_args, args = parse(TYPES, [*inputs, "--slurm", '{"timeout_min": 5}'])
    assert sweep_args.slurm == {"timeout_min": 5}
    assert (args.learning_rate, sweep_args.seeds) == (1e-2, [42])
    with pytest.raises(InputError, match="slurm must be JSON"):
        parse(TYPES, [*inputs, "--slurm", "gpu"])
