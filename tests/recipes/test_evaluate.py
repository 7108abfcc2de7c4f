import json
import shutil

import pytest
from pretrain_run import argv

from pico_maml.recipes.evaluate import command as evaluate
from pico_maml.recipes.export import command as export
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers import InputError


def test_results_equal_those_of_the_run(pretrained, held_out, tmp_path, capsys):
    out = tmp_path / "evaluation.json"
    common = ["--model", str(pretrained), *held_out, "--output_file", str(out), "--seed=42"]
    corpus = held_out[1]
    results = evaluate.main([*common, "--episodes=2", "--eval_sources", corpus])
    assert 1 < results["sources"]["text"]["bits_per_byte"] < 10
    for measured in (results, results["sources"]["text"]):
        assert measured["mean_text_perplexity"] == pytest.approx(measured["perplexity"], rel=0.2)
        assert measured["mean_text_perplexity"] != measured["perplexity"]
    assert "text: perplexity" in capsys.readouterr().out
    run = json.loads((pretrained / "results.json").read_text())
    assert results["perplexity"] == pytest.approx(run["held_out"][-1]["eval_perplexity"], rel=1e-5)
    assert results["adaptation"] == [run["adaptation"]]
    assert results["adaptation_any_documents"] == [run["adaptation_any_documents"]]
    assert results["episode"]["episode_documents"] == "different"
    assert json.loads(out.read_text()) == results
    without = evaluate.main([*common, "--episodes=0", "--eval_texts=0"])
    assert "mean_text_perplexity" not in without
    assert without["perplexity"] == results["perplexity"]
    with pytest.raises(InputError, match="block_size is 65, the model reads 64 tokens"):
        evaluate.main([*common, "--block_size=65"])


def test_sweep_over_ways_and_shots(pretrained, held_out, capsys):
    arguments = ["--model", str(pretrained), *held_out, "--episodes=8", "--inner_steps=3", "--words=all"]
    results = evaluate.main([*arguments, "--n_way", "2", "4", "6", "--k_shot", "1", "3"])
    shapes = [(entry["n_way"], entry["k_shot"]) for entry in results["adaptation"]]
    assert shapes == [(2, 1), (2, 3), (4, 1), (4, 3), (6, 1), (6, 3)]
    for entry in results["adaptation"]:
        assert len(entry["fresh"]) == 4, "accuracy after 0 to 3 inner steps"
        assert (entry["trained"] is None) is (entry["n_way"] > 4), "the run's head has 4 classes"
        assert entry["prototypes"]["low"] <= entry["prototypes"]["mean"] <= entry["prototypes"]["high"]
    assert "Query accuracy on all words, 95 % intervals over 8 episodes" in capsys.readouterr().out


def test_two_models_are_compared_on_the_same_queries(pretrained, held_out, tmp_path, capsys):
    checkpoint, one = sorted(pretrained.glob("checkpoint-*"))[0], tmp_path / "one.json"
    shape = [*held_out, "--episodes=8", "--n_way", "2", "4", "--k_shot=1", "--words=all"]
    base = evaluate.main(["--model", str(checkpoint), *shape, "--output_file", str(one)])
    assert "queries" not in base["adaptation"][0]
    capsys.readouterr()
    results = evaluate.main(["--model", str(pretrained), *shape, "--compare", str(one)])
    for own, other, difference in zip(
        results["adaptation"], base["adaptation"], results["compared"]["differences"], strict=True
    ):
        gain = own["trained"][-1]["mean"] - other["trained"][-1]["mean"]
        assert difference["trained"]["mean"] == pytest.approx(gain)
        assert difference["trained"]["low"] <= gain <= difference["trained"]["high"]
    out = capsys.readouterr().out
    assert "2-way 1-shot: prototypes" in out
    assert "Two checkpoints, one run each: not enough runs to say which method is better." in out
    with pytest.raises(InputError, match="of other queries"):
        evaluate.main(["--model", str(pretrained), *shape, "--seed=9", "--compare", str(one)])
    with pytest.raises(InputError, match=r"nothing.queries.json is missing"):
        evaluate.main(["--model", str(pretrained), *shape, "--compare", str(tmp_path / "nothing.json")])
    with pytest.raises(InputError, match="set episodes above 0"):
        evaluate.main(["--model", str(pretrained), *held_out, "--episodes=0", "--compare", str(one)])


def test_the_rule_of_held_out_words_and_their_number_are_printed_and_stored(pretrained, held_out, capsys):
    arguments = ["--model", str(pretrained), *held_out, "--episodes=2"]
    results = evaluate.main(arguments)
    assert results["episode"]["held_out_rule"] == "form"
    available = results["adaptation"][0]["words_available"]
    assert f"words that can be classes: {available}; words held out by: form" in capsys.readouterr().out
    everything = evaluate.main([*arguments, "--words=all", "--held_out_rule=id"])
    assert 0.15 < available / everything["adaptation"][0]["words_available"] < 0.45, "a share of 0.3"


def test_figures_of_different_documents_have_those_of_any_beside_them(pretrained, held_out, tmp_path, capsys):
    # A checkpoint that was trained on episodes from any document, or has no record of it, is evaluated alike.
    earlier = tmp_path / "earlier"
    shutil.copytree(pretrained, earlier)
    config = json.loads((earlier / "config.json").read_text())
    del config["episode"]["episode_documents"]
    (earlier / "config.json").write_text(json.dumps(config))
    arguments = [*held_out, "--episodes=4", "--seed=42"]
    results, of_earlier = (evaluate.main(["--model", str(model), *arguments]) for model in (pretrained, earlier))
    printed = capsys.readouterr().out
    assert printed.index("come from: different documents") < printed.index("come from: any documents")
    for name in ("adaptation", "adaptation_any_documents"):
        assert results[name] == of_earlier[name]
    assert results["adaptation"] != results["adaptation_any_documents"]
    alone = evaluate.main(["--model", str(pretrained), *arguments, "--episode_documents=any"])
    assert alone["adaptation"] == results["adaptation_any_documents"]
    assert "adaptation_any_documents" not in alone
    assert "come from: different documents" not in capsys.readouterr().out


def test_a_checkpoint_without_a_rule_is_evaluated_by_ids(pretrained, held_out, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(pretrained, old)
    config = json.loads((old / "config.json").read_text())
    del config["episode"]["held_out_rule"]
    (old / "config.json").write_text(json.dumps(config))
    results = evaluate.main(["--model", str(old), *held_out, "--episodes=2"])
    assert results["episode"]["held_out_rule"] == "id"
    with pytest.raises(InputError, match="training held out words by id"):
        evaluate.main(["--model", str(old), *held_out, "--held_out_rule=form"])


def test_export_is_evaluated_with_a_fresh_head(pretrained, held_out, tmp_path):
    hub = tmp_path / "hub"
    export.main(["--model", str(pretrained), "--format", "hub", "--output_dir", str(hub)])
    results = evaluate.main(["--model", str(hub), *held_out, "--episodes=2", "--seed=42"])
    (entry,) = results["adaptation"]
    assert entry["trained"] is None
    run = json.loads((pretrained / "results.json").read_text())["adaptation"]
    assert entry["prototypes"] == run["prototypes"], "the same episodes, the same backbone"


def test_published_layout_is_evaluated_in_its_subfolder(pretrained, held_out, tmp_path):
    step = tmp_path / "hub" / "checkpoints" / "step_1"
    export.main(["--model", str(pretrained), "--format", "published", "--output_dir", str(step)])
    arguments = ["--model", str(tmp_path / "hub"), "--subfolder=checkpoints/step_1", *held_out, "--episodes=2"]
    shape = ["--n_way", "4", "--k_shot", "2", "--episode_window=8", "--word_max_frequency=1"]
    with pytest.raises(InputError, match="no tokenizer at"):
        evaluate.main([*arguments, *shape])
    results = evaluate.main([*arguments, *shape, "--tokenizer", str(pretrained), "--words=all"])
    assert results["adaptation"][0]["trained"] is None
    expected = evaluate.main(["--model", str(pretrained), *held_out, "--episodes=0"])
    assert results["perplexity"] == pytest.approx(expected["perplexity"], rel=1e-5)


def test_model_trained_without_episodes_has_no_trained_head(corpus, held_out, tmp_path):
    pretrain.main(argv(tmp_path / "out", corpus, hybrid_ratio=0, eval_episodes=0))
    (entry,) = evaluate.main(["--model", str(tmp_path / "out"), *held_out, "--episodes=2"])["adaptation"]
    assert entry["trained"] is None
    assert len(entry["fresh"]) == 11


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--words=some"], "words must be one of held_out, training, all, got 'some'"),
        (["--episodes=-1"], "episodes must be at least 0, got -1"),
        (["--batch_size=0"], "batch_size must be at least 1, got 0"),
        (["--n_way", "90"], "held_out words of held-out text: n_way is 90, but a pool of 24 blocks holds"),
        (["--n_way", "1"], "n_way must be at least 2, got 1"),
        (["--held_out_words=0"], "holds 0 words with"),
        (["--held_out_words=0.6"], "training held out 0.3: the other words were classes in training"),
        (["--held_out_rule=id"], "held_out_rule is id, but training held out words by form"),
        (["--seed=-1"], "seed must be at least 0, got -1"),
        (["--episode_documents=same"], "episode_documents must be one of different, apart, any, got 'same'"),
        (["--readout=first"], "readout must be one of mask, previous, last, got 'first'"),
    ],
)
def test_wrong_arguments_raise(changes, message, pretrained, held_out):
    with pytest.raises(InputError, match=message):
        evaluate.main(["--model", str(pretrained), *held_out, *changes])


def test_missing_model_raises():
    with pytest.raises(InputError, match="cannot load a model from 'no/model'"):
        evaluate.main(["--model", "no/model"])
