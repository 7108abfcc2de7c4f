import gc
from dataclasses import dataclass, field

import pytest

from pico_maml._start import begin
from pico_maml.recipes.arguments import parser
from pico_maml.recipes.arguments.parser import parse, run, shipped_configs
from pico_maml.trainers import InputError, MAMLConfig


@dataclass
class Small:
    """A few kinds of argument."""

    rate: float = field(default=1.0, metadata={"help": "A rate."})
    steps: int = field(default=1, metadata={"help": "Steps."})
    flag: bool = field(default=False, metadata={"help": "A flag."})
    names: list[str] = field(default_factory=list, metadata={"help": "Names."})
    strategy: str = field(default="steps", metadata={"help": "A word."})
    limit: int | None = field(default=None, metadata={"help": "A limit or none."})


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "a.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_command_line_overrides_yaml(file):
    config = file("rate: 3e-4\nsteps: 7\nflag: true\nnames: [a, b]\nstrategy: no\nlimit: null\n")
    (small,) = parse([Small], ["--config", config, "--steps", "9"])
    assert small == Small(rate=3e-4, steps=9, flag=True, names=["a", "b"], strategy="no", limit=None)
    (small,) = parse([Small], [f"--config={config}", "--flag", "false", "--rate=-2"])
    assert (small.flag, small.rate) == (False, -2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 7", r"a.yaml: key 'stepz' is not an argument: did you mean steps\?"),
        ("steps: many", "argument --steps: invalid int value: 'many'"),
        ("flag: perhaps", "perhaps"),
        ("- steps", "must hold `key: value` lines"),
        ("steps: [1", "is not a YAML file"),
        ("zzz: 1", "see --help_all for the valid ones"),
    ],
)
def test_wrong_yaml_raises_input_error(file, text, message):
    with pytest.raises(InputError, match=message):
        parse([Small], ["--config", file(text)])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--stepz", "7"], r"--stepz is not an argument: did you mean --steps\?"),
        (["--step", "7"], r"--step is not an argument: did you mean --steps\?"),
        (["--steps", "x"], "invalid int value: 'x'"),
        (["--config", "demoo"], "no config file 'demoo': give a path, or one of demo, episodes/added,"),
        (["--config", "accelerate/ddp"], "no config file 'accelerate/ddp'"),
        (["--config", "lm_eval/held_out"], "no config file 'lm_eval/held_out'"),
        (["stray"], "stray"),
    ],
)
def test_wrong_command_line_raises_input_error(argv, message):
    with pytest.raises(InputError, match=message):
        parse([Small], argv)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hybrid_ratio": "1.5"}, "hybrid_ratio must be between 0 and 1, got 1.5"),
        ({"k_shot": "0"}, "k_shot must be at least 1, got 0"),
        ({"n_way": "1"}, "n_way must be at least 2, got 1"),
        ({"n_query": "0"}, "n_query must be at least 1"),
        ({"inner_lr": "0"}, "inner_lr must be positive"),
        ({"inner_steps": "-1"}, "inner_steps must be at least 0"),
        ({"head_dropout": "1"}, "head_dropout must be at least 0 and below 1"),
        ({"head_layers": "0"}, "head_layers must be at least 1"),
        ({"readout": "middle"}, "readout must be one of mask, previous, last, got 'middle'"),
        ({"word_max_frequency": "0"}, "word_max_frequency must be above 0"),
        ({"episode_window": "1"}, "episode_window must be at least 2"),
        ({"episode_pool": "0"}, "episode_pool must be at least 1"),
        ({"lr_scheduler_type": "sideways"}, "sideways"),
        ({"eval_strategy": "sometimes"}, "sometimes"),
    ],
)
def test_value_out_of_range_raises_input_error(values, message, tmp_path):
    argv = ["--output_dir", str(tmp_path)] + [part for name, value in values.items() for part in (f"--{name}", value)]
    with pytest.raises(InputError, match=message):
        parse([MAMLConfig], argv)


def test_run_prints_an_error_as_one_line_and_exits_with_2(capsys, monkeypatch):
    def fail():
        raise InputError("two\nlines")

    with pytest.raises(SystemExit) as caught:
        run(fail)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: two lines\n"
    monkeypatch.setenv("PICO_MAML_DEBUG", "1")
    with pytest.raises(InputError):
        run(fail)


def test_ctrl_c_is_one_line_and_code_130(capsys):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run(interrupted)
    assert (caught.value.code, capsys.readouterr().err) == (130, "error: interrupted\n")


def test_garbage_is_collected_again_once_a_command_runs():
    begin("pretrain", [])
    assert not gc.isenabled()
    enabled = []
    run(lambda: enabled.append(gc.isenabled()))
    assert enabled == [True]
    gc.unfreeze()


def test_later_config_files_override_earlier_ones(file, tmp_path):
    (tmp_path / "b.yaml").write_text("rate: 5\n")
    (small,) = parse([Small], ["--config", file("rate: 3\nsteps: 7\n"), str(tmp_path / "b.yaml")])
    assert (small.rate, small.steps) == (5, 7)


def test_config_resolves_recipes_episodes_and_studies_only(monkeypatch, tmp_path):
    monkeypatch.setattr(parser, "CONFIGS", tmp_path)
    for folder in ("recipes", "episodes", "studies", "accelerate", "lm_eval"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.yaml").write_text("steps: 3")
    assert set(shipped_configs()) == {"a", "episodes/a", "studies/a"}


def test_shipped_recipes_are_named_after_their_files():
    assert {name for name in shipped_configs() if not name.startswith(("episodes/", "optimizers/", "studies/"))} == {
        "demo",
        "uner-sweep",
        "paper-code",
        "paper-code-ner",
    } | {
        f"{kind}-{size}"
        for kind in ("pico-maml-decoder", "pico-decoder")
        for size in ("tiny", "small", "medium", "large")
    }
