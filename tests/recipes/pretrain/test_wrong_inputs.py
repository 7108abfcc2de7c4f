"""Wrong inputs of every command: one clear line, exit code 2, nothing written."""

import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from conftest import WORDS
from pretrain_run import argv
from transformers import AutoTokenizer

from pico_maml.recipes import ner_results, predict
from pico_maml.recipes.arguments.parser import run
from pico_maml.recipes.benchmark import command as benchmark
from pico_maml.recipes.demo import command as demo
from pico_maml.recipes.evaluate import command as evaluate
from pico_maml.recipes.export import command as export
from pico_maml.recipes.finetune import command as finetune
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.recipes.sweep import command as sweep

# Valid arguments of each command; words in capitals stand for paths (see `places` below).
RIGHT: dict[ModuleType, dict[str, object]] = {
    pretrain: {},
    evaluate: {"model": "PRETRAINED", "dataset": "CORPUS", "block_size": 48, "eval_blocks": 24, "episodes": 2},
    export: {"model": "PRETRAINED", "format": "hub", "output_dir": "OUT"},
    finetune: {"model": "PRETRAINED", "treebank": "sample", "output_dir": "OUT", "use_cpu": True},
    predict: {"model": "PRETRAINED", "input_file": "CORPUS", "output_file": "OUT.jsonl"},
    sweep: {"models": "vanilla=PRETRAINED", "train_on": "sample", "output_dir": "OUT"},
    ner_results: {"sweeps": "PRETRAINED", "output_dir": "OUT"},
    benchmark: {"output": "OUT"},
    demo: {"output_dir": "OUT"},
}

TABLE = [
    # arguments
    (pretrain, {"n_way": "many"}, "invalid int value: 'many'"),
    (pretrain, {"n_wya": 3}, "--n_wya is not an argument: did you mean --n_way?"),
    (pretrain, {"config": "nowhere"}, "no config file 'nowhere'"),
    (pretrain, {"hybrid_ratio": 1.5}, "hybrid_ratio must be between 0 and 1, got 1.5"),
    (pretrain, {"inner_lr": -1}, "inner_lr must be positive"),
    (pretrain, {"max_skipped_updates": 0}, "max_skipped_updates must be at least 1, got 0"),
    (pretrain, {"loss_spike": -1}, "loss_spike must be at least 0, got -1"),
    (pretrain, {"ignore_data_skip": True}, "ignore_data_skip would repeat text after a resume"),
    (pretrain, {"hub_token": "hf_secret"}, "hub_token would be visible in the process list"),
    (pretrain, {"shuffle_blocks": 0}, "shuffle_blocks must be at least 1, got 0"),
    (pretrain, {"shuffle_blocks": 8}, "shuffle_blocks is 8 but the corpus is not streamed"),
    (pretrain, {"init_from": "nowhere"}, "nowhere"),
    (pretrain, {"init_from": "PRETRAINED", "d_model": 64}, "has another shape than this run asks for: set d_model 32"),
    (pretrain, {"report_to": "nothing_like_it"}, "nothing_like_it"),
    (pretrain, {"save_steps": 0}, "save_steps"),
    (pretrain, {"logging_steps": 0}, "logging_steps"),
    (pretrain, {"learning_rate": -1}, "learning_rate"),
    (pretrain, {"optim": "sgdd"}, "sgdd"),
    (pretrain, {"max_steps": 0}, "max_steps"),
    (pretrain, {"bf16": True, "fp16": True}, "fp16"),
    (pretrain, {"optim": "adamw_torch_xla"}, "optim adamw_torch_xla"),
    (pretrain, {"optim_args": "nonsense"}, "optim_args"),
    (pretrain, {"adam_beta1": 2}, "Invalid beta parameter"),
    (pretrain, {"lr_scheduler_type": "cosine_with_min_lr"}, "min_lr"),
    (pretrain, {"lr_scheduler_kwargs": '{"foo": 1}'}, "'foo'"),
    (pretrain, {"lr_scheduler_kwargs": "nonsense"}, "lr_scheduler_kwargs must be JSON of a mapping"),
    (pretrain, {"report_to": "dvclive"}, "report_to dvclive needs the package dvclive"),
    (pretrain, {"use_liger_kernel": True}, "use_liger_kernel has no kernels for Pico"),
    (pretrain, {"warmup_steps": "inf"}, "warmup_steps must be a finite number of at least 0, got inf"),
    (pretrain, {"save_steps": "inf"}, "save_steps must be a finite number"),
    (pretrain, {"seed": -1}, "seed must be at least 0"),
    (pretrain, {"dataloader_num_workers": -1}, "dataloader_num_workers must be a finite number of at least 0"),
    (pretrain, {"neftune_noise_alpha": -1}, "neftune_noise_alpha must be"),
    (pretrain, {"num_workers": -1}, "num_workers must be at least 0, got -1"),
    (pretrain, {"dataset": ""}, "dataset is empty: give a value, or leave it out"),
    (pretrain, {"dataset": "a.txt\r"}, "ends with a carriage return"),
    (finetune, {"optim": "adamw_torch_xla"}, "optim adamw_torch_xla"),
    (finetune, {"weight_decay": "nan"}, "weight_decay must be a number, got nan"),
    (sweep, {"lr_scheduler_type": "cosine_with_min_lr", "models": "a/b=PRETRAINED"}, "min_lr"),
    (evaluate, {"n_way": 1}, "n_way must be at least 2"),
    (evaluate, {"words": "some"}, "words must be one of"),
    (evaluate, {"batch_size": 0}, "batch_size must be at least 1"),
    (evaluate, {"episodes": -1}, "episodes must be at least 0"),
    (evaluate, {"block_size": 65}, "the model reads 64 tokens"),
    (export, {"format": "onnx"}, "format must be one of hub, llama, gguf, published, got 'onnx'"),
    (finetune, {"mode": "both"}, "mode must be one of head, full, got 'both'"),
    (finetune, {"labelled_subword": "middle"}, "labelled_subword must be one of first, last"),
    (finetune, {"hub_token": "hf_secret"}, "hub_token would be visible in the process list"),
    (finetune, {"num_train_epochs": "x"}, "invalid float value: 'x'"),
    (predict, {"output_file": "OUT.txt"}, "must end with .iob2 or .jsonl"),
    (sweep, {"models": "PRETRAINED"}, "="),
    (sweep, {"workers": 0}, "workers must be at least 1"),
    (sweep, {"launcher": "pbs"}, "launcher must be one of"),
    (sweep, {"modes": "half"}, "half"),
    (ner_results, {"bootstrap_samples": 0}, "bootstrap_samples must be at least 1"),
    (ner_results, {"baseline": "maml", "treatment": "maml"}, "baseline and treatment are both 'maml'"),
    (benchmark, {"shapes": "huge:4x256"}, "with SIZE one of tiny, small, medium, large"),
    (demo, {"stepz": 3}, "--stepz is not an argument"),
    # YAML
    (pretrain, {"config": "YAML:steps: [1"}, "is not a YAML file"),
    (pretrain, {"config": "YAML:- n_way"}, "must hold `key: value` lines"),
    (pretrain, {"config": "YAML:n_wya: 3"}, "key 'n_wya' is not an argument: did you mean n_way?"),
    (pretrain, {"config": "YAML:learning_rate: !!python/object/apply:os.getcwd []"}, "learning_rate"),
    (finetune, {"config": "YAML:mode: {a: 1}"}, 'mode takes no mapping, got {"a": 1}'),
    (pretrain, {"config": "YAML:eval_sources: [[a]]"}, "eval_sources takes a list of single values"),
    (pretrain, {"config": "YAML:n_way: 4\nn_way: 5"}, "the key 'n_way' is given twice"),
    (pretrain, {"config": "YAML:"}, "must hold `key: value` lines, but it is empty"),
    # corpora
    (pretrain, {"dataset": "nowhere.txt"}, "nowhere.txt"),
    (pretrain, {"dataset": "FILE:a.txt:"}, "a.txt"),
    (pretrain, {"dataset": "FILE:a.txt:too short"}, "the corpus holds 2 tokens, fewer than one block of 49"),
    (pretrain, {"dataset": "FILE:a.txt:\udcff"}, "a.txt, line 1: not UTF-8"),
    (pretrain, {"dataset": "FILE:a.jsonl:{broken"}, "cannot be read ("),
    (pretrain, {"dataset": "FILE:a.parquet:no parquet"}, "cannot be read ("),
    (pretrain, {"dataset": "FILE:a.arrow:no arrow"}, "cannot be read ("),
    (pretrain, {"dataset": "FILE:a.parquet:no parquet", "skip_bad_files": True}, "no corpus file can be read"),
    (pretrain, {"dataset": "FILE:a.parquet:no parquet", "streaming": True}, "parquet"),
    (pretrain, {"dataset": "FILE:a.jsonl:{broken", "streaming": True}, "JSON"),
    (pretrain, {"dataset": "FILE:a.csv:a,b"}, "expected .txt, .jsonl"),
    (pretrain, {"dataset": 'FILE:a.jsonl:{"words": "a"}\n'}, "has no column 'text': set text_column to one of words"),
    (pretrain, {"dataset": 'FILE:a.jsonl:{"input_ids": [1, 2]}\n'}, "name its tokenizer with --tokenizer"),
    (pretrain, {"eval_fraction": 1}, "eval_fraction must be between 0 and 1, got 1"),
    (evaluate, {"dataset": "nowhere.txt"}, "nowhere.txt"),
    (predict, {"input_file": "nowhere.txt"}, "no file nowhere.txt"),
    (predict, {"input_file": "FILE:a.txt:"}, "no text in it"),
    (predict, {"input_file": "FILE:a.txt:\udcff"}, "not UTF-8"),
    # checkpoints
    (pretrain, {"tokenizer": "nowhere"}, "no tokenizer at 'nowhere'"),
    (evaluate, {"model": "nowhere"}, "nowhere"),
    (export, {"model": "nowhere"}, "cannot load a model from 'nowhere'"),
    (finetune, {"model": "nowhere"}, "no tokenizer at 'nowhere'"),
    (predict, {"model": "nowhere"}, "nowhere"),
    (export, {"model": "DAMAGED"}, "DAMAGED"),
    (evaluate, {"model": "DAMAGED"}, "DAMAGED"),
    (pretrain, {"init_from": "DAMAGED"}, "DAMAGED"),
    (predict, {}, "the model knows the labels"),
    (pretrain, {"tokenizer": "PRETRAINED", "vocab_size": 300}, "the tokenizer has 400 tokens"),
    (evaluate, {"model": "MISMATCHED"}, "config.json and the weights of"),
    (export, {"model": "MISMATCHED"}, "config.json and the weights of"),
    (finetune, {"model": "MISMATCHED"}, "config.json and the weights of"),
    (predict, {"model": "MISMATCHED"}, "config.json and the weights of"),
    (export, {"model": "DEEPER"}, "lacks weights that its config.json asks for"),
    (finetune, {"model": "DEEPER"}, "lacks weights that its config.json asks for"),
    (evaluate, {"model": "MORE_TOKENS"}, "the model only 400 tokens"),
    (export, {"model": "MORE_TOKENS"}, "the tokenizer has 470 tokens, but"),
    (finetune, {"model": "MORE_TOKENS"}, "the tokenizer has 470 tokens, but"),
    (sweep, {"models": "a/b=MORE_TOKENS", "evaluate_on": "sample"}, "the tokenizer has 470 tokens, but"),
    # treebanks
    (finetune, {"treebank": "da_dtt"}, "no treebank, file or folder 'da_dtt': did you mean 'da_ddt'?"),
    (finetune, {"treebank": "FILE:a.iob2:1\tMara\tB-GPE\t-\t-\n"}, "B-GPE"),
    (finetune, {"treebank": "FILE:a.iob2:"}, "a.iob2"),
    (finetune, {"treebank": "da_ddt", "uner_dir": "nowhere"}, "nowhere"),
    (finetune, {"evaluate_on": "xx_none"}, "xx_none"),
    (ner_results, {"sweeps": "nowhere"}, "no finished run in nowhere"),
    # the place to write to
    (pretrain, {"output_dir": "PRETRAINED"}, "is not empty: choose another output_dir"),
    (pretrain, {"output_dir": "CORPUS"}, "is a file"),
    (finetune, {"output_dir": "PRETRAINED"}, "is not empty"),
    (export, {"output_dir": "PRETRAINED"}, "is not empty"),
    (pretrain, {"output_dir": "CORPUS/below"}, "Not a directory"),
    (evaluate, {"output_file": "PRETRAINED"}, "is a folder, output_file must be a file"),
    (benchmark, {"output": "CORPUS"}, "is a file, output must be a folder"),
    (sweep, {"output_dir": "CORPUS"}, "is a file, output_dir must be a folder"),
    (export, {"output_dir": "CORPUS/below"}, "which is a file"),
]


@pytest.fixture(scope="module")
def damaged(pretrained, tmp_path_factory) -> Path:
    """A model whose weights were cut off."""
    folder = tmp_path_factory.mktemp("damaged") / "DAMAGED"
    shutil.copytree(pretrained, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    return folder


@pytest.fixture(scope="module")
def unfit(pretrained, tmp_path_factory) -> dict[str, Path]:
    """Models whose config.json, weights and tokenizer do not belong together, by name."""
    folders = {}
    for name, changes in (("MISMATCHED", {"d_model": 16}), ("DEEPER", {"n_layers": 2}), ("MORE_TOKENS", {})):
        folders[name] = tmp_path_factory.mktemp("unfit") / name
        shutil.copytree(pretrained, folders[name])
        config = folders[name] / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    tokenizer = AutoTokenizer.from_pretrained(folders["MORE_TOKENS"])
    tokenizer.add_tokens(WORDS)
    tokenizer.save_pretrained(folders["MORE_TOKENS"])
    return folders


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    TABLE,
    ids=[
        f"{recipe.__name__.removesuffix('.command').split('.')[-1]}-{json.dumps(changes)[:60]}"
        for recipe, changes, _ in TABLE
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    recipe, changes, message, pretrained, corpus, damaged, unfit, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("PICO_MAML_CACHE", str(tmp_path / "cache"))
    places = {"PRETRAINED": str(pretrained), "CORPUS": corpus, "DAMAGED": str(damaged), "OUT": str(tmp_path / "out")}
    places |= {name: str(folder) for name, folder in unfit.items()}
    (tmp_path / "given").mkdir()

    def value(given: object) -> str:
        text = str(given)
        if text.startswith("YAML:"):
            text = "FILE:a.yaml:" + text.removeprefix("YAML:")
        if text.startswith("FILE:"):
            _, name, content = text.split(":", 2)
            path = tmp_path / "given" / name
            path.write_bytes(content.encode(errors="surrogateescape"))
            return str(path)
        for name, place in places.items():
            text = text.replace(name, place)
        return text

    options = {**RIGHT[recipe], **changes}
    if recipe is pretrain:
        right = [a for a in argv(places["OUT"], corpus) if a.split("=")[0].removeprefix("--") not in changes]
        options = changes
    else:
        right = []
    arguments = right + [part for name, given in options.items() for part in (f"--{name}", value(given))]
    before = names(pretrained)
    with pytest.raises(SystemExit) as caught:
        run(lambda: recipe.main(arguments))
    assert caught.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "hf_secret" not in lines[0]
    assert not (tmp_path / "out").exists()
    assert names(pretrained) == before


def test_every_command_is_tried_with_wrong_inputs():
    assert len(TABLE) >= 60
    assert {recipe for recipe, _, _ in TABLE} == set(RIGHT)
