"""A mixture of corpora, from the command line to its figures."""

import json
import shutil
from pathlib import Path

import pytest
from pretrain_run import argv
from same_run import logs, same, state

from pico_maml.recipes.arguments.corpus import CorpusArguments
from pico_maml.recipes.arguments.mixture import read_mixture
from pico_maml.recipes.evaluate import command as evaluate
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.recipes.pretrain.mixture import mixed_texts
from pico_maml.recipes.replay import command as replay
from pico_maml.trainers import InputError

OPTIONS = {"eval_episodes": 0, "dynamics_steps": 0, "console": "quiet", "logging_steps": 1, "eval_steps": 50}
OPTIONS |= {"n_way": 2, "k_shot": 1, "eval_blocks": 8}


@pytest.fixture(scope="module")
def sources(text, tmp_path_factory) -> dict[str, Path]:
    """Two corpora whose letters differ, and so their texts can be told apart."""
    folder = tmp_path_factory.mktemp("sources")
    other = [row.translate(str.maketrans("abcdefghij", "klmnopqrst")) for row in text]
    for name, column, rows in (("one", "text", text[:24]), ("two", "story", other[:10])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({column: row}) + "\n" for row in rows))
    return {name: folder / f"{name}.jsonl" for name in ("one", "two")}


def mixture(sources, **changes) -> str:
    two = {"dataset": str(sources["two"]), "weight": 0.4, "text_column": "story"} | changes
    return json.dumps({str(sources["one"]): 0.6, "two": two})


@pytest.fixture(scope="module", params=[False, True], ids=["mapped", "streamed"])
def run(request, sources, tmp_path_factory) -> tuple[Path, list[str]]:
    """A finished run of a mixture, and its arguments."""
    out = tmp_path_factory.mktemp("mixture") / "run"
    options = {"mixture": mixture(sources), "streaming": request.param, "gradient_accumulation_steps": 2}
    arguments = argv(out, "python-prose", **OPTIONS | options)
    pretrain.main(arguments)
    return out, arguments


def test_tokens_and_losses_of_the_sources_add_up_to_those_of_the_run(run):
    out, _ = run
    steps = [entry for entry in logs(out) if "tokens_seen" in entry]
    assert len(steps) == 4
    both = 0
    for before, entry in zip([{}, *steps], steps, strict=False):
        assert entry["tokens_seen/one"] + entry["tokens_seen/two"] == entry["tokens_seen"]
        read = {name: entry[f"tokens_seen/{name}"] - before.get(f"tokens_seen/{name}", 0) for name in ("one", "two")}
        if entry["next_token_tokens"] - before.get("next_token_tokens", 0) == 2 * 4 * 48:  # no episode took a place
            losses = sum(entry[f"next_token_loss/{name}"] * count for name, count in read.items() if count)
            assert losses / sum(read.values()) == pytest.approx(entry["next_token_loss"], rel=1e-5)
            both += all(read.values())
    assert both, "some step has rows of both sources"
    results = json.loads((out / "results.json").read_text())
    assert results["tokens_seen/one"] == steps[-1]["tokens_seen/one"]
    assert set(steps[0]) >= {"next_token_loss/one", "next_token_loss/two"} or steps[0]["episodes"]


def test_a_killed_run_resumes_with_the_same_logs_weights_and_place(run, tmp_path):
    out, arguments = run
    again = tmp_path / "run"
    shutil.copytree(out, again)
    shutil.rmtree(again / "checkpoint-4")
    for name in ("results.json", "model.safetensors"):
        (again / name).unlink()
    pretrain.main([argument.replace(str(out), str(again)) for argument in arguments] + ["--resume=true"])
    assert logs(again) == logs(out)
    assert same(state(again / "checkpoint-4"), state(out / "checkpoint-4"))


def test_replay_names_the_source_of_each_row_and_nothing_held_out_is_read(run, sources, tmp_path, capsys):
    out, _ = run
    found = replay.main(["--run", str(out), "--steps", "1", "2", "3", "4"])
    rows = [row for batch in found for row in batch["rows"]]
    assert {row["source"] for row in rows} == {"one", "two"}
    for row in rows:
        letters = set("abcdefghij" if row["source"] == "one" else "klmnopqrst")
        assert set(row["text"].replace("<|endoftext|>", "")) <= letters | set(" .")
    assert "row 0, source " in capsys.readouterr().out
    results = evaluate.main(["--model", str(out), "--episodes=0"])
    assert results["text"]["relation"] == "held out from training"
    assert results["sources"].keys() == {"one", "two"}
    assert results["tokens"] == 48 * results["text"]["blocks"]
    last = [entry for entry in logs(out) if "eval_perplexity/two" in entry][-1]
    assert results["sources"]["two"]["perplexity"] == pytest.approx(last["eval_perplexity/two"], rel=0.02)


@pytest.mark.parametrize("streaming", [False, True], ids=["mapped", "streamed"])
def test_the_run_ends_with_its_first_source_if_told_to(streaming, sources, tmp_path, capsys):
    out = tmp_path / "run"
    options = {"mixture": mixture(sources), "mixture_stop": "first_exhausted", "max_steps": 90, "save_steps": 50}
    options |= {"streaming": streaming, "gradient_accumulation_steps": 4, "per_device_train_batch_size": 8}
    arguments = argv(out, "python-prose", **OPTIONS | options | {"hybrid_ratio": 0})
    results = pretrain.main(arguments)
    steps = results["steps"]
    assert 2 < steps < 20
    assert results["held_out"][-1]["step"] == steps, "measured at the end"
    assert (out / f"checkpoint-{steps}").exists()
    assert logs(out)[-2]["step"] == steps
    before = state(out / f"checkpoint-{steps}")
    (out / "results.json").unlink()  # killed before it was written
    assert pretrain.main([*arguments, "--resume=true"])["steps"] == steps
    assert same(state(out / f"checkpoint-{steps}"), before)


def test_an_edited_source_ends_a_resumed_run_and_another_weight_does_too(sources, tmp_path):
    copy = {name: tmp_path / path.name for name, path in sources.items()}
    for name, path in sources.items():
        shutil.copy(path, copy[name])
    options = OPTIONS | {"max_steps": 2, "save_steps": 1, "hybrid_ratio": 0}
    pretrain.main(argv(tmp_path / "run", "python-prose", mixture=mixture(copy), **options))
    resumed = options | {"max_steps": 3, "resume": True}
    with pytest.raises(InputError, match="was started with other arguments: mixture"):
        pretrain.main(argv(tmp_path / "run", "python-prose", mixture=mixture(copy, weight=0.5), **resumed))
    with copy["two"].open("a") as file:
        file.write('{"story": "kk kl km ."}\n')
    with pytest.raises(InputError, match=r"source two '.*two.jsonl' changed since the run in .* began"):
        pretrain.main(argv(tmp_path / "run", "python-prose", mixture=mixture(copy), **resumed))


def test_a_streamed_run_branches_into_a_mixture(sources, tmp_path):
    options = OPTIONS | {"streaming": True, "hybrid_ratio": 0}
    pretrain.main(argv(tmp_path / "plain", sources["one"], **options, max_steps=2))
    branch = argv(tmp_path / "branch", "python-prose", **options, mixture=mixture(sources), max_steps=4)
    results = pretrain.main([*branch, f"--branch_from={tmp_path / 'plain' / 'checkpoint-2'}"])
    assert results["tokens_seen"] == 4 * 4 * 48
    assert results["tokens_seen/one"] + results["tokens_seen/two"] == 2 * 4 * 48, "of the branch"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixture": "{one.jsonl: 1}"}, "mixture has 1 source: give two or more, or set dataset"),
        ({"mixture": "{one.jsonl: 0.5, two.jsonl: -1}"}, "weight of 'two.jsonl' must be a number above 0, got -1"),
        ({"mixture": "{one.jsonl: 0, two.jsonl: 1}"}, "weight of 'one.jsonl' must be a number above 0, got 0"),
        ({"mixture": "{one.jsonl: much, two.jsonl: 1}"}, "must be a number above 0, got 'much'"),
        ({"mixture": "{one.jsonl: .nan, two.jsonl: 1}"}, "must be a number above 0, got 'NaN'"),
        ({"mixture": "{one.jsonl: 1, two.jsonl: {wieght: 1}}"}, "has the key 'wieght': did you mean weight?"),
        ({"mixture": "{one.jsonl: 1, one.jsonl: 2}"}, "the key 'one.jsonl' is given twice"),
        (
            {"mixture": "{one.jsonl: 1, one: {dataset: two.jsonl, weight: 1}}"},
            "two sources of mixture are named 'one'",
        ),
        (
            {"mixture": "{one.jsonl: 1, again: {dataset: one.jsonl, weight: 1}}"},
            "'again' and 'one' of mixture have text",
        ),
        ({"mixture": "{one.jsonl: 1, two.jsonl: {}}"}, "mixture gives no weight to two: weigh every source, or none"),
        ({"mixture": "{one.jsonl: 1, nowhere.jsonl: 1}"}, "source 'nowhere.jsonl': .*nowhere"),
        (
            {"mixture": "{one.jsonl: 1, two.jsonl: 1}"},
            "source 'two': .* has no column 'text': set text_column to one of",
        ),
        ({"mixture": "nonsense"}, "mixture must be JSON of a mapping|mixture must be a mapping"),
        ({"mixture": "{one.jsonl: 1"}, "is no mapping in YAML or JSON"),
        ({"mixture": "{one.jsonl: 1, two.jsonl: 1}", "mixture_temperature": 2}, "is for sources without weights"),
        ({"mixture": "{one.jsonl: , two.jsonl: }", "mixture_temperature": 0}, "must be above 0, got 0"),
        ({"mixture": "{one.jsonl: , two.jsonl: }", "streaming": True}, "give every source of the mixture a weight"),
        ({"mixture_temperature": 2}, "mixture_temperature and mixture_stop are of a mixture"),
        ({"mixture_stop": "never", "mixture": "{one.jsonl: 1, two.jsonl: 1}"}, "mixture_stop must be one of"),
        ({"mixture": "{one.jsonl: 1, short.jsonl: 1}"}, "source 'short': "),
    ],
)
def test_a_wrong_mixture_is_one_clear_error_and_leaves_nothing(changes, message, sources, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in sources.values():
        shutil.copy(path, ".")
    Path("short.jsonl").write_text('{"text": "ab"}\n{"text": "cd"}\n')
    with pytest.raises(InputError, match=message) as caught:
        pretrain.main(argv("run", "python-prose", **OPTIONS | changes))
    assert "\n" not in str(caught.value)
    assert not Path("run").exists()


def test_a_file_may_hold_the_mixture_and_sizes_its_shares(sources, tokenizer, tmp_path):
    path = tmp_path / "mixture.yaml"
    path.write_text(f"{sources['one']}:\ntwo:\n  dataset: {sources['two']}\n  text_column: story\n")
    assert read_mixture(str(path)) == {
        "one": {"dataset": str(sources["one"])},
        "two": {"dataset": str(sources["two"]), "text_column": "story"},
    }
    for temperature in (1, 0.2):
        corpus = CorpusArguments(mixture=str(path), mixture_temperature=temperature, block_size=48)
        blocks = corpus.train_blocks(corpus.documents()[0], tokenizer, 0)
        one, two = (len(source) ** (1 / temperature) for source in blocks.sources)
        assert abs(one / (one + two) - 0.5) > 0.03
        share = sum(row["source"] == 0 for row in blocks) / len(blocks)
        assert share == pytest.approx(one / (one + two), abs=0.01)


def test_the_tokenizer_reads_texts_in_their_shares():
    documents = {"a": [{"text": "a" * 10}] * 30, "b": [{"text": "b" * 5}] * 4}
    for stop, total in (("all_exhausted", 600), ("first_exhausted", 40)):
        text = "".join(mixed_texts(documents, {"a": 0.5, "b": 0.5}, stop))
        assert len(text) == pytest.approx(total, abs=15)
        assert text.count("a") == pytest.approx(text.count("b"), abs=10)
    assert len("".join(mixed_texts(documents, None, "all_exhausted"))) == 320
