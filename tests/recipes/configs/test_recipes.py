"""The shipped YAML files of recipes, episodes and the sweep."""

from dataclasses import asdict
from itertools import product

import pytest
import torch
import yaml

from pico_maml import PicoForCausalLM
from pico_maml.recipes.arguments.parser import CONFIGS, parse
from pico_maml.recipes.compare.arguments import CompareArguments
from pico_maml.recipes.compare.study import Study
from pico_maml.recipes.finetune import ner
from pico_maml.recipes.pretrain.arguments import TYPES
from pico_maml.recipes.sweep.arguments import TYPES as SWEEP_TYPES
from pico_maml.trainers import InputError
from pico_maml.trainers.class_episodes.config import CLASS_ALGORITHMS
from pico_maml.trainers.episodes import READOUTS
from pico_maml.trainers.meta.episode_config import CLASS_READOUT
from pico_maml.trainers.meta.episode_loss import ALGORITHMS
from pico_maml.trainers.meta.meta_model import PicoForMetaCausalLM
from pico_maml.trainers.ner.universal_ner import ALL, SEEN

FINETUNE_TYPES = ner.TYPES
AS_PUBLISHED = CONFIGS / "recipes" / "paper-code.yaml"
NER_AS_PUBLISHED = CONFIGS / "recipes" / "paper-code-ner.yaml"
SWEEP = CONFIGS / "recipes" / "uner-sweep.yaml"
WHOLE_RECIPES = sorted({*CONFIGS.glob("recipes/*.yaml")} - {SWEEP, NER_AS_PUBLISHED, AS_PUBLISHED})
PARAMETERS = {"tiny": 11_282_784, "small": 64_595_328, "medium": 181_095_168, "large": 569_808_384}
# Table 10 and section 3 of the paper.
PAPER = {
    "n_way": 32,
    "k_shot": 4,
    "inner_steps": 10,
    "inner_lr": 1e-3,
    "head_layers": 4,
    "head_hidden_dim": 128,
    "head_dropout": 0.1,
    "readout": "mask",
    "episode_documents": "any",
}


@pytest.mark.parametrize("path", WHOLE_RECIPES, ids=lambda path: path.stem)
def test_shipped_recipe_parses_and_its_model_has_the_size_of_the_paper(path, tmp_path):
    model_args, corpus, *_, args = parse(TYPES, ["--config", str(path), "--output_dir", str(tmp_path), "--use_cpu"])
    with torch.device("meta"):
        model = PicoForCausalLM(model_args.config())
    meta = PicoForMetaCausalLM.from_causal_lm(model, args.seed, **args.head())
    assert meta.meta_head.layers[-1].out_features == args.n_way
    assert corpus.block_size <= model.config.max_seq_len
    if path.stem == "demo":
        return
    size = path.stem.rsplit("-")[-1]
    assert model.num_parameters() == PARAMETERS[size]
    assert args.hybrid_ratio == (0.5 if "maml" in path.stem else 0.0)
    # Section 3.3: eight micro-batches for every size, so four episodes a step.
    assert args.gradient_accumulation_steps == 8
    assert 4 * 8 * args.per_device_train_batch_size == (1024 if size == "tiny" else 2048)
    assert (args.learning_rate, args.warmup_steps, args.max_steps, args.bf16) == (3e-4, 2500, 6000, True)
    assert (args.lr_scheduler_type, args.save_steps, args.eval_steps) == ("cosine", 100, 100)
    assert (corpus.block_size, corpus.dataset) == (2048, "pico-lm/pretokenized-dolma")
    if "maml" in path.stem:
        assert {name: value for name, value in asdict(args).items() if name in PAPER} == PAPER


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("episodes/*.yaml")), ids=lambda path: path.stem)
def test_episode_file_overrides_another_recipe(path, tmp_path):
    argv = ["--config", "demo", f"episodes/{path.stem}", "--output_dir", str(tmp_path), "--use_cpu"]
    model_args, corpus, *_, args = parse(TYPES, argv)
    assert corpus.dataset == "python-prose", "the base"
    assert yaml.safe_load(path.read_text()).items() <= (asdict(model_args) | asdict(args)).items()


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("studies/*.yaml")))
def test_study_files_are_studies(name, tmp_path):
    (args,) = parse([CompareArguments], ["--config", f"studies/{name}", "--output_dir", str(tmp_path)])
    args.arguments["use_cpu"] = True  # bf16 without a GPU
    study = Study.of(args)
    assert {test.arm for test in study.tests()} == set(study.arms) - {study.control.name}


def test_every_variant_of_the_method_is_in_a_shipped_file():
    files = [*CONFIGS.glob("recipes/*.yaml"), *CONFIGS.glob("episodes/*.yaml")]
    used = {(name, str(value)) for file in files for name, value in yaml.safe_load(file.read_text()).items()}
    variants = {
        "readout": (*READOUTS, CLASS_READOUT),
        "meta_algorithm": (*ALGORITHMS, *CLASS_ALGORITHMS),
        "hybrid_mode": ("replace", "add"),
        "episode_sampler": ("random_positions",),
        "episode_states": ("stream",),
        "episode_labels": ("shuffled",),
        "episode_classes": ("clusters",),
        "class_support": ("memory",),
        "first_order": ("False",),
        "learn_inner_lr": ("True",),
    }
    # A file need not name the default.
    assert {(name, v) for name, values in variants.items() for v in values} - used <= {("meta_algorithm", "maml")}


def test_the_sweep_has_the_160_runs_of_the_paper():
    models = [f"{size}/{arm}={arm}-{size}" for size, arm in product(PARAMETERS, ("vanilla", "maml"))]
    sweep, args = parse(SWEEP_TYPES, ["--config", str(SWEEP), "--models", *models])
    runs = sweep.runs()
    assert len(runs) == 160
    assert {run.train_on for run in runs} == {*SEEN, ALL}
    with pytest.raises(InputError, match="no models: give every pretraining run that is compared as --models"):
        parse(SWEEP_TYPES, ["--config", str(SWEEP)])
    assert (args.learning_rate, args.num_train_epochs) == (3e-5, 10)


@pytest.mark.parametrize("size", list(PARAMETERS))
def test_vanilla_and_maml_recipes_differ_in_episodes_only(size):
    maml, vanilla = (
        yaml.safe_load((CONFIGS / "recipes" / f"{kind}-{size}.yaml").read_text())
        for kind in ("pico-maml-decoder", "pico-decoder")
    )
    differing = {name for name in maml if maml[name] != vanilla.get(name)}
    assert differing == {"hybrid_ratio", "output_dir", "n_query", "episode_window", "episode_pool", *PAPER}
    assert set(vanilla) <= set(maml)


def test_ner_as_the_published_code_does_it_is_a_recipe_of_finetune_and_of_sweep():
    _, alone = parse(
        FINETUNE_TYPES, ["--config", str(NER_AS_PUBLISHED), "--model=m", "--treebank=da_ddt", "--output_dir=o"]
    )
    _, swept = parse(SWEEP_TYPES, ["--config", str(SWEEP), str(NER_AS_PUBLISHED), "--models=tiny/maml=m"])
    for args in (alone, swept):
        assert (args.space_before_words, args.classifier_dropout, args.max_sentence_tokens) == (False, 0.0, 128)
        assert (args.chosen_epoch, args.batch_by_length, args.num_train_epochs) == ("last", False, 10)
        assert (args.learning_rate, args.lr_scheduler_type, args.warmup_steps) == (3e-5, "linear", 0)
        assert (args.per_device_train_batch_size, args.labelled_subword, args.fp16) == (16, "first", True)


@pytest.mark.parametrize(("kind", "size"), product(("pico-maml-decoder", "pico-decoder"), PARAMETERS))
def test_every_size_can_be_pretrained_as_the_published_code_does(kind, size, tmp_path):
    files = [f"{kind}-{size}", "paper-code"]
    model_args, corpus, *_, args = parse(TYPES, ["--config", *files, "--output_dir", str(tmp_path), "--use_cpu"])
    assert (model_args.model_size, model_args.initializer, corpus.block_size) == (size, "torch", 2048)
    assert 4 * args.per_device_train_batch_size * args.gradient_accumulation_steps == 1024
    assert args.gradient_accumulation_steps == 8
    assert (args.max_grad_norm, args.decay_all_weights, args.weight_decay) == (0, True, 0.01)
    assert (args.lr_scheduler_type, args.lr_schedule_steps, args.max_steps) == ("linear", 200_000, 6000)
    assert (args.learning_rate, args.warmup_steps) == (3e-4, 2500)
    assert args.hybrid_ratio == (0.5 if "maml" in kind else 0)
    assert (args.episode_sampler, args.inner_lr, args.head_dropout) == ("random_positions", 0.01, 0)
    assert (args.head_initializer, args.held_out_words) == ("published", 0)
    assert corpus.eval_texts >= 1_000_000, "all"
