"""Write the page of a study, with its tables as CSV and LaTeX beside it."""

import base64
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ....trainers.cost import FORMULA
from ....trainers.ner.analysis.figures import few_shot_curves
from ....trainers.runs.files import ARGUMENTS_FILE
from ....trainers.runs.json_files import read_json
from ....trainers.runs.reader import load_run
from ....trainers.runs.table_files import write_table
from ....trainers.runs.work_folder import WorkFolder
from ...report.figures import svg
from ...report.formats import number, short
from ...report.palette import LIGHT
from ..plan import Plan
from ..results.entities import entity_counts
from ..results.verdicts import verdicts
from ..study import Study
from .few_shot import few_shot_table
from .figures import budgets, forest, loss_curves, objectives, values
from .methods import methods, sentence
from .tables import cost_table, runs_table, to_loss, trained_head_table

PAGE_FILE = "index.html"


def write_page(study: Study, folder: WorkFolder, plan: Plan) -> str:
    """Write index.html and tables/ in the study's folder; returns the primary verdicts and where the page is."""
    results = folder.results()
    whole = [entry for entry in results if entry["share"] == 1]
    treebanks = study.follow_up.treebanks
    counts = {(entry["arm"], entry["seed"]): entity_counts(_path(folder, entry), treebanks) for entry in whole}
    table = verdicts(study, results, counts)
    ratios, drawn = to_loss(study, results)
    paths = {arm: [_path(folder, entry) for entry in whole if entry["arm"] == arm] for arm in study.arms}
    few_shot = few_shot_table(paths, treebanks)
    tables = {
        "verdicts": table,
        "runs": runs_table(results),
        "few_shot": few_shot,
        "costs": cost_table(study, results, plan),
        "trained_head": trained_head_table(whole),
        "compute_to_loss": ratios,
    }
    tables = {name: frame for name, frame in tables.items() if len(frame)}
    for name, frame in tables.items():
        write_table(folder.path / "tables", name, frame)
    runs = {arm: [load_run(path, path.name) for path in members] for arm, members in paths.items() if members}
    figures = {
        "curves": loss_curves(runs),
        "objectives": objectives(runs),
        "budgets": budgets(drawn, study.args.budget) if drawn else None,
        "few_shot": few_shot_curves(few_shot, LIGHT) if len(few_shot) else None,
        "every_value": values(whole, list(study.arms), list(study.margins)),
    }
    environment = Environment(
        loader=PackageLoader("pico_maml.recipes.compare.page"), autoescape=True, undefined=StrictUndefined
    )
    sentences = [(row["primary"], sentence(row)) for _, row in table.iterrows()]
    page = environment.get_template("study.html").render(
        question=study.args.question,
        done=f"{len(results)} of {len(study.runs())} runs finished",
        primary=[text for primary, text in sentences if primary],
        exploratory=[text for primary, text in sentences if not primary],
        forest=[svg(figure) for figure in forest(table)],
        figures={name: figure and svg(figure) for name, figure in figures.items()},
        tables={name: _html(frame) for name, frame in tables.items()},
        downloads={
            f"{name}.{kind}": _data_url(folder.path / "tables" / f"{name}.{kind}")
            for name in tables
            for kind in ("csv", "tex")
        },
        methods=methods(study, plan),
        formula=FORMULA,
        configurations={
            name: yaml.safe_dump(read_json(members[0] / ARGUMENTS_FILE)) for name, members in paths.items() if members
        },
        versions=whole[0]["versions"] if whole else {},
    )
    (folder.path / PAGE_FILE).write_text(page, encoding="utf-8")
    shown = [text for primary, text in sentences if primary] or [text for _, text in sentences]
    return "\n".join([*shown, f"open {folder.path / PAGE_FILE}"])


def _path(folder: WorkFolder, entry: dict[str, Any]) -> Path:
    return folder.path / "runs" / f"{entry['arm']}-{entry['seed']}"


def _html(table: pd.DataFrame) -> Markup:
    return Markup(table.map(_cell).to_html(index=False, border=0, escape=True))


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_cell, value))
    if isinstance(value, float) and value == float("inf"):  # compute to reach a loss alone
        return "not reached"
    return short(value) if isinstance(value, float | int) and value >= 1e9 else number(value)


def _data_url(path: Path) -> str:
    return "data:text/plain;base64," + base64.b64encode(path.read_bytes()).decode()
