import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pico_maml.recipes import ner_results
from pico_maml.trainers import InputError

SENTENCES = 12


def write_run(folder: Path, pretraining: str, mode: str, correct: int, size: str = "tiny", **fields: int) -> None:
    """Write a run as a sweep does, on sentences of one entity each, of which `correct` are predicted."""
    counts = [[int(i < correct), int(i < correct), 1] for i in range(SENTENCES)]
    f1 = 2 * correct / (correct + SENTENCES)
    row = {"precision": 1.0, "recall": correct / SENTENCES, "f1": f1, "support": SENTENCES}
    scores = {"xx_a": {**row, "strict_f1": f1, "classes": {"PER": row}}}
    result = {
        "size": size,
        "pretraining": pretraining,
        "path": "p",
        "revision": None,
        "mode": mode,
        "train_on": "xx_a",
        "seed": 1,
        **fields,
        "scores": scores,
        "counts": {"xx_a": counts},
        "entities": {"xx_a": [[i, 1, 2, "PER"] for i in range(correct)]},
    }
    name = "-".join([size, pretraining, mode, *map(str, fields.values())])
    path = folder / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result))


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for mode, vanilla, maml in (("head", 0, 4), ("full", 6, 9)):
        write_run(Path("sweep"), "vanilla", mode, vanilla)
        write_run(Path("sweep"), "maml", mode, maml)
    Path("uner").mkdir()
    for split in ("train", "test"):
        names = [f"N{i if split == 'test' else i % 6}" for i in range(SENTENCES)]
        text = "\n".join(f"saw\tO\n{name}\tB-PER\n" for name in names)
        Path(f"uner/xx_a-ud-{split}.iob2").write_text(text)
    return ["--sweeps", "sweep", "--output_dir", "out"]


def test_writes_tables_figures_and_error_analysis(sweep, capsys):
    made = ner_results.main([*sweep, "--errors", "--uner_dir", "uner", "--bootstrap_samples", "200"])
    names = {path.name for path in Path("out").iterdir()}
    tables = {f"table_{number}" for number in range(3, 10)} | {"runs", "seeds", "differences", "errors"}
    assert {f"{name}.{kind}" for name in tables for kind in ("csv", "tex")} <= names
    assert "figure_3.png" in names
    for model in ("vanilla", "maml"):
        assert {f"heat_map-tiny-{model}-{mode}.png" for mode in ("head", "full")} <= names

    differences = pd.read_csv("out/differences.csv").set_index("mode")
    assert differences.loc["full", "difference"] == pytest.approx(18 / 21 - 12 / 18, abs=1e-6)
    # A baseline of 0.000 gives no percentage; one of 0.667 does.
    eight, nine = Path("out/table_8.csv").read_text(), Path("out/table_9.csv").read_text()
    assert "tiny,,n/a" in eight or "tiny,n/a" in eight
    assert made["table_9"].loc["tiny", ("xx_a", "ours")] == pytest.approx(100 * (18 / 21 - 2 / 3) / (2 / 3))
    assert "28.6" in Path("out/table_9.tex").read_text()
    assert "xx_a" in nine

    errors = pd.read_csv("out/errors.csv").set_index(["pretraining", "mode"])
    assert errors.loc[("maml", "full"), "recall, seen in training"] == 1.0
    assert errors.loc[("maml", "full"), "recall, unseen"] == 0.5
    confusions = pd.read_csv("out/confusions.csv")
    assert confusions[(confusions["pretraining"] == "vanilla") & (confusions["mode"] == "head")]["count"].sum() == 12
    assert np.isnan(differences.loc["full", "p"]), "one run an arm has no test"
    assert differences.loc["full", "sentences_low"] < differences.loc["full", "sentences_high"]
    out = capsys.readouterr().out
    assert "4 runs" in out
    assert "not enough runs to say which method is better" in out


def test_two_pretraining_seeds_of_one_size_and_method_are_tested_over_runs(sweep, capsys):
    for mode in ("head", "full"):
        for pretraining, correct in (("vanilla", 5), ("maml", 8)):
            write_run(Path("sweep"), pretraining, mode, correct, pretraining_seed=1)
    made = ner_results.main(sweep)
    differences = made["differences"].set_index("mode")
    # Results without a pretraining seed are of earlier versions, and are run 0.
    assert differences["runs"].tolist() == [2, 2]
    mean = ((18 / 21 - 12 / 18) + (16 / 20 - 10 / 17)) / 2
    assert differences.loc["full", "difference"] == pytest.approx(mean)
    assert set(made["runs"].index.get_level_values("pretraining_seed")) == {0, 1}
    assert "2 pretraining runs an arm, t test" in capsys.readouterr().out


def test_arms_follow_from_two_pretrainings_and_must_be_named_among_more(sweep):
    assert ner_results.main([*sweep, "--baseline", "maml"])["differences"]["difference"].lt(0).all()
    write_run(Path("sweep"), "llama", "head", 1)
    with pytest.raises(InputError, match="the results hold llama, maml, vanilla: name two of them as --baseline"):
        ner_results.main(["--sweeps", "sweep", "--output_dir", "more"])
    with pytest.raises(InputError, match="no result has the pretraining 'mamml': name two of llama, maml, vanilla"):
        ner_results.main(["--sweeps", "sweep", "--output_dir", "more", "--treatment", "mamml"])
    assert not Path("more").exists()
    made = ner_results.main(
        ["--sweeps", "sweep", "--output_dir", "more", "--baseline", "vanilla", "--treatment", "llama"]
    )
    assert made["differences"]["mode"].tolist() == ["head"]


def test_one_pretraining_alone_has_tables_without_comparison(sweep):
    write_run(Path("other"), "vanilla", "full", 3)
    ner_results.main(["--sweeps", "other", "--output_dir", "out"])
    names = {path.name for path in Path("out").iterdir()}
    assert {"runs.csv", "table_7.csv", "heat_map-tiny-vanilla-full.png"} <= names
    assert "figure_3.png" not in names


def test_wrong_arguments_are_errors(sweep):
    with pytest.raises(InputError, match="no finished run in nowhere"):
        ner_results.main(["--sweeps", "nowhere", "--output_dir", "out"])
    with pytest.raises(InputError, match="is in two folders"):
        ner_results.main(["--sweeps", "sweep", "sweep", "--output_dir", "out"])
    with pytest.raises(InputError, match="baseline and treatment are both 'maml'"):
        ner_results.main([*sweep, "--baseline", "maml", "--treatment", "maml"])
    with pytest.raises(InputError, match="bootstrap_samples must be at least 1"):
        ner_results.main([*sweep, "--bootstrap_samples", "0"])
    Path("out").mkdir()
    Path("out/x").touch()
    with pytest.raises(InputError, match="out is not empty"):
        ner_results.main(sweep)


def test_errors_are_of_the_data_as_the_sweep_read_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2):
        for pretraining in ("vanilla", "maml"):
            write_run(
                Path("sweep"),
                pretraining,
                "head",
                6,
                pretraining_seed=seed,
                split_dev=True,
                data_format={"label_map": ["PERSON=PER"]},
            )
    Path("uner").mkdir()
    for split in ("dev", "test"):
        text = "\n".join(f"saw\tO\nN{i}\tB-PERSON\n" for i in range(SENTENCES))
        Path(f"uner/xx_a-ud-{split}.iob2").write_text(text)
    argv = ["--sweeps", "sweep", "--output_dir", "out", "--errors", "--uner_dir", "uner", "--bootstrap_samples", "200"]
    ner_results.main(argv)
    confusions = pd.read_csv("out/confusions.csv")
    assert set(confusions[["gold", "predicted"]].itertuples(index=False, name=None)) == {("PER", "PER"), ("PER", "-")}
