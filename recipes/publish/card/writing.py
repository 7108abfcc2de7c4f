"""Writes the model card of a checkpoint, README.md, and its figures."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...report.figures import run_curves, run_dynamics, save_png
from ..queue import Entry
from ..settings import Settings
from .facts import Facts, read_facts
from .metadata import metadata

FIGURES = {
    "figures/curves.png": ("Training curves", run_curves),
    "figures/learning_dynamics.png": ("Learning dynamics, means over each layer", run_dynamics),
}
# Rows of the table of sizes, by the key in config.json.
SIZES = {
    "d_model": "width",
    "n_layers": "layers",
    "attention_n_heads": "query heads",
    "attention_n_kv_heads": "key/value heads",
    "activation_hidden_dim": "inner width of SwiGLU",
    "max_seq_len": "longest sequence (tokens)",
    "vocab_size": "vocabulary",
}
# Beginnings of arguments about a machine, a tracker or a moment, which say nothing about the model.
HIDDEN = ("publish_", "hub_", "push_to_hub", "output_dir", "run_name", "report_to", "logging_", "disable_tqdm")


def write_card(folder: Path, entry: Entry, settings: Settings, weights_step: int | None = None) -> None:
    """Write README.md and its figures into a folder, for the weights of the entry or of `weights_step`."""
    facts = read_facts(entry, weights_step)
    figures = [(title, path) for path, (title, draw) in FIGURES.items() if save_png(draw(facts.run), folder / path)]
    evaluations = facts.run.curve("eval_perplexity")["step"]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    text = environment.get_template("card.md.jinja").render(
        metadata=metadata(facts, settings).to_yaml(),
        facts=facts,
        settings=settings,
        sizes=[(label, facts.config[key]) for key, label in SIZES.items() if key in facts.config],
        figures=figures,
        evaluated_step=evaluations[evaluations <= facts.step].max(),
        arguments=shown_arguments(facts),
    )
    (folder / "README.md").write_text(text)


def shown_arguments(facts: Facts) -> dict[str, str]:
    """Arguments of the run that describe the model, as JSON; of absolute paths only the last part."""
    shown = {}
    for name, value in sorted(facts.run.arguments.items()):
        if value is not None and not name.startswith(HIDDEN):
            shown[name] = json.dumps(without_folders(value))
    return shown


def without_folders(value: Any) -> Any:
    """The value with the last part of each absolute path, also in lists and mappings."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return Path(value).name if isinstance(value, str) and value.startswith(("/", "~")) else value
