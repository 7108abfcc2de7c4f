"""README and the pages of docs/ do what they show.

Each page runs from top to bottom in a folder that holds a small `runs/demo` and `runs/vanilla`. Commands get the
arguments in `SMALLER`, so that they take seconds. Those in `NOT_RUN` are parsed only.
"""

import configparser
import json
import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import torch
from hub_server import Account, HubServer
from huggingface_hub import HfApi
from labelled_tasks import write_entities, write_tasks
from pretrain_run import SMALL
from published_run import TOKEN, connect
from transformers import AutoModelForCausalLM

from pico_maml import PicoForCausalLM
from pico_maml.recipes.arguments.parser import parse

ROOT = Path(__file__).parents[2]
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"))}
FENCE = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = {page: FENCE.findall(text) for page, text in PAGES.items() if FENCE.search(text)}
COMMANDS = [
    (page, line) for page, blocks in BLOCKS.items() for language, code in blocks if language == "bash"
    for line in code.splitlines()
]  # fmt: skip
RECIPES = {path.stem: path.stem for path in (ROOT / "recipes").glob("[!_]*.py")}
RECIPES |= {path.parent.name: f"{path.parent.name}.command" for path in (ROOT / "recipes").glob("*/__main__.py")}

# Pattern of commands that are not run here, and why.
NOT_RUN = {
    r"^make ": "does everything; tests/recipes/test_demo.py runs the demo",
    r"pip install": "needs the network",
    r"^pico-maml( --version)?$": "tests/launcher runs it",
    r"^accelerate launch ": "needs several GPUs; tests/trainers/test_distributed.py runs several processes",
    r"--config pico-": "trains for hours",
    r"^sbatch ": "needs SLURM",
    r"^llama-cli ": "needs llama.cpp; tests/recipes/export/test_gguf_file.py loads the file with its library",
    r"^lm_eval ": "the page's Python runs the same task",
    r"wandb": "starts wandb's service; tests/trainers/runs/safety/test_trackers.py covers it",
    r"trackio": "needs trackio; tests/recipes/pretrain/test_trackio.py covers it",
    r"user/books|pico-lm/|davidafrica/|EleutherAI/": "needs the Hub; docs/publish.md runs against one in this process",
    r"da_ddt|en_ewt|uner-": "needs Universal NER; tests/recipes/sweep runs small sweeps",
    r"treebank my_data": "needs labelled files; tests/recipes/test_own_labels.py writes some",
    r"^pico-maml compare": "trains for minutes; tests/recipes/compare runs a small study",
    r"^pico-maml (benchmark|scale)": "measures for minutes; tests/recipes/benchmark and scale run it",
    r"docs/make_picture.py": "needs minutes and a browser",
}
# Added to a command where the page does not give the same argument.
SMALLER = {
    "pretrain": SMALL
    | {"max_seq_len": 128, "dataset": "books.jsonl", "dynamics_steps": 4, "class_count": 8, "task_window": 32}
    | dict.fromkeys(("logging_steps", "eval_steps", "save_steps"), 4),
    "evaluate": {"word_max_frequency": 1, "episode_window": 8, "episodes": 4},
    "prepare": {"held_out_fraction": 0.2},
    "report": {"formats": "none"},
    "finetune": {"num_train_epochs": 1, "use_cpu": True, "disable_tqdm": True},
}
# Replaced where the page's value does not fit the small corpus and the small model.
REPLACED = {
    "--n_way 5 32 --k_shot 1 4": "--n_way 2 4 --k_shot 1",
    "--episodes 200": "--episodes 2",
    "--workers 4": "--workers 1",
    "--held_out_tasks sentiment": "--held_out_tasks two",
    "--max_steps 20": "--max_steps 4",
    "--max_steps 40": "--max_steps 8",
    "--save_steps 50": "--save_steps 2",
    "--save_steps 150": "--save_steps 2",
    "checkpoint-300": "checkpoint-2",
    'revision="step-50"': 'revision="step-2"',
    "--block_size 128": "--block_size 48",
    'from_size("tiny", ': 'from_size("tiny", n_layers=1, ',
    "max_steps=1000": "max_steps=1, use_cpu=True",
    "n_way=32, k_shot=4": "n_way=4, k_shot=2, word_max_frequency=1, episode_window=8",
}


def smaller(code: str) -> str:
    for shown, replacement in REPLACED.items():
        code = code.replace(shown, replacement)
    return code


def run_command(line: str) -> None:
    """Run `pico-maml COMMAND ...` in this process, made smaller."""
    _, name, *argv = shlex.split(smaller(line), comments=True)
    added = {key: value for key, value in SMALLER.get(name, {}).items() if f"--{key}" not in argv}
    main = import_module(f"pico_maml.recipes.{RECIPES[name]}").main
    if {"--help", "--help_all"} & set(argv):
        with pytest.raises(SystemExit, match=r"^$"):
            main(argv)
    else:
        main([*argv, *(f"--{key}={value}" for key, value in added.items())])


def runs(line: str) -> bool:
    return not any(re.search(pattern, line) for pattern in NOT_RUN)


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory) -> Path:
    """A folder with what the pages take for granted: `runs/demo`, `runs/vanilla`, and texts."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("books.jsonl").write_text("".join(json.dumps({"text": document}) + "\n" for document in text))
        Path("papers.jsonl").write_text("".join(json.dumps({"text": document}) + "\n" for document in text[40:]))
        Path("held_out.jsonl").write_text(json.dumps({"text": text[0]}) + "\n")
        Path("text.txt").write_text("Mara moved to Norburg .\n")
        labelled = [{"text": f"{word} film {i % 5}", "label": word} for i in range(20) for word in ("good", "bad")]
        Path("reviews.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled))
        Path("pairs.jsonl").write_text('{"good": "ab cd", "bad": "cd ab", "group": "order"}\n')
        write_tasks(folder)
        write_entities(folder)
        shutil.copytree(ROOT / "recipes" / "configs", "recipes/configs")
        run_command("pico-maml pretrain --config demo --output_dir runs/demo --dynamics_steps 2 --save_steps 4")
        run_command("pico-maml pretrain --config demo --output_dir runs/vanilla --hybrid_ratio 0 --save_steps 4")
        run_command("pico-maml finetune --model runs/demo --treebank sample --output_dir runs/demo/ner")
    return folder


@pytest.fixture
def names(trained, model, blocks, tokenizer, tmp_path, monkeypatch) -> dict:
    """Go to a copy of that folder; the variables that a page's Python may use without defining them."""
    shutil.copytree(trained, tmp_path / "page")
    monkeypatch.chdir(tmp_path / "page")
    return {"model": model, "blocks": blocks, "tokenizer": tokenizer}


def run_page(page: str, names: dict) -> None:
    """Run the commands and the Python of a page in their order."""
    for language, code in BLOCKS[page]:
        if language == "python":
            exec(smaller(code), names)
        else:
            for line in filter(runs, code.splitlines()):
                run_command(line)


CHECKED = ("README.md", "docs/load.md", "docs/export.md", "docs/dynamics.md", "docs/pretrain.md", "docs/publish.md")


@pytest.mark.parametrize("page", sorted(set(BLOCKS) - set(CHECKED)))
def test_page_runs_from_top_to_bottom(page, names):
    run_page(page, names)


def test_readme_pretrains_resumes_reports_tunes_and_predicts(names, capsys):
    run_page("README.md", names)
    assert "The function returns" in capsys.readouterr().out
    results = json.loads(Path("runs/mine/results.json").read_text())
    assert results["steps"] == 8
    assert {path.name for path in Path("runs/report").iterdir()} >= {"index.html"}
    assert json.loads(Path("runs/entities.jsonl").read_text().splitlines()[0])["text"] == "Mara moved to Norburg ."


def test_pretrain_page_trains_from_the_command_line_and_in_python(names):
    shutil.rmtree("runs/vanilla")  # the page makes it
    run_page("docs/pretrain.md", names)
    assert {path.name for path in Path("runs").iterdir()} >= {"mine", "books", "python", "vanilla"}
    assert names["trainer"].state.global_step == 1
    assert Path("runs/python/metrics.jsonl").exists()


def test_load_page_generates_tags_and_trains_adapters_that_end_up_in_the_saved_model(names, capsys):
    pytest.importorskip("peft")
    run_page("docs/load.md", names)
    assert capsys.readouterr().out.startswith("The function returns")
    words = names["tagger"]("ab cd", aggregation_strategy="none", ignore_labels=[])
    assert [word["word"] for word in words] == ["ab", "cd"]
    assert names["trainer"].state.global_step == 20
    texts = re.findall(r'"(The .+?\.)"', PAGES["docs/load.md"])
    losses = []
    for folder in ("runs/demo", "runs/demo-lora"):
        loaded = AutoModelForCausalLM.from_pretrained(folder)
        assert type(loaded) is PicoForCausalLM
        ids = [names["tokenizer"](text, return_tensors="pt")["input_ids"] for text in texts]
        losses.append(sum(loaded(row, labels=row).loss.item() for row in ids))
    assert losses[1] < losses[0] - 0.3


def test_export_page_writes_models_with_the_same_logits_and_evaluates_one(names):
    pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness (the extra lm-eval)")
    pytest.importorskip("gguf", reason="needs the extra gguf")
    run_page("docs/export.md", names)
    inputs = torch.arange(20)[None]
    before = AutoModelForCausalLM.from_pretrained("runs/demo")(inputs).logits
    for kind in ("hub", "llama"):
        exported = AutoModelForCausalLM.from_pretrained(f"runs/demo-{kind}")
        torch.testing.assert_close(exported(inputs).logits, before, atol=1e-5, rtol=1e-4)
    assert names["results"]["held_out"]["byte_perplexity,none"] > 1


def test_dynamics_page_prints_ranks_of_weights_and_gradients(names, capsys):
    run_page("docs/dynamics.md", names)
    printed = capsys.readouterr().out
    assert re.search(r"^query +attention\.o_proj +\d+ +0\.\d+", printed, re.MULTILINE)
    assert re.search(r"^ +swiglu\.w_2 +\d+ +0\.\d+", printed, re.MULTILINE)


def test_publish_page_uploads_every_checkpoint_and_resumes_from_the_hub(names, monkeypatch, tmp_path):
    with HubServer(tmp_path / "hub", {TOKEN: Account("user")}) as server:
        connect(monkeypatch, server, tmp_path / "home")
        run_page("docs/publish.md", names)
        revisions = {branch.name for branch in HfApi().list_repo_refs("user/pico").branches}
    assert revisions == {"main", "step-2", "step-4", "state-step-2", "state-step-4"}
    assert type(names["published"]) is PicoForCausalLM
    assert json.loads(Path("runs/elsewhere/results.json").read_text())["steps"] == 4


class Parsed(Exception):
    """Raised when a command has parsed its arguments."""


def parse_and_stop(*arguments, **options):
    parse(*arguments, **options)
    raise Parsed


@pytest.mark.parametrize(
    "line", sorted({line for _, line in COMMANDS if not runs(line) and re.search(r"recipes\.\w+ |pico-maml \w", line)})
)
def test_commands_that_are_not_run_have_valid_arguments(line, monkeypatch):
    name, arguments = re.search(r"(?:pico_maml\.recipes\.|pico-maml )(\w+) (.*)", line).groups()
    module = import_module(f"pico_maml.recipes.{RECIPES[name]}")
    monkeypatch.setattr(module, "parse", parse_and_stop)
    # The paper's recipes ask for bf16 on a GPU.
    on_cpu = ["--use_cpu"] if name == "pretrain" else []
    with pytest.raises(Parsed):
        module.main([*shlex.split(arguments), *on_cpu])


def test_every_command_is_shown_and_has_its_help_in_the_reference():
    shown = {words[1] for words in (line.split() for _, line in COMMANDS) if words[0] == "pico-maml" and words[1:]}
    assert set(RECIPES) - {"demo"} <= shown, "`make demo` runs the demo"
    included = re.findall(r"\{literalinclude\} arguments/([\w-]+)\.txt", PAGES["docs/commands.md"])
    assert included == sorted({*RECIPES, "finetune-text-classification"})


def test_every_reason_for_not_running_a_command_applies_to_one():
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, line) for _, line in COMMANDS)] == []


def test_every_other_command_is_one_of_ours():
    assert {line.split()[0] for _, line in COMMANDS if runs(line)} == {"pico-maml"}


def test_targets_extras_and_files_in_commands_exist():
    text = "\n".join(line for _, line in COMMANDS)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"make (\w+)", text)) <= set(targets)
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    assert set(re.findall(r"\.\[([\w-]+)\]", text)) <= set(setup["options.extras_require"])
    for path in re.findall(r"(?:recipes|docs)/[\w/]+(?:\.\w+)?", text):
        assert (ROOT / path).exists(), path


def test_links_between_pages_lead_to_files():
    for page, text in PAGES.items():
        for link in re.findall(r"\]\(([^)#]+)", text):
            if not link.startswith("http"):
                assert (ROOT / page).parent.joinpath(link).exists(), f"{page}: {link}"


def test_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= 150
