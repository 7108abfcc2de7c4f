"""Write the page of a study, with its tables as CSV and LaTeX beside it."""

import base64
import io
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from ....trainers.cost import FORMULA
from ....trainers.runs.reader import RunData, load_run
from ....trainers.runs.table_files import write_table
from ....trainers.runs.work_folder import WorkFolder
from ...report.formats import number
from ..budget import StepCost
from ..compute_to_loss import FEWEST_BUDGETS, compute_ratio
from ..figures import budgets, forest, loss_curves, objectives, values
from ..study import Study
from ..verdicts import verdicts
from .methods import methods, sentence

PAGE_FILE = "index.html"
UNITS = ("flops", "tokens", "next_token_tokens", "seconds")


def write_page(study: Study, folder: WorkFolder, costs: dict[str, StepCost], plan: dict[str, dict[float, int]]) -> str:
    """Write index.html and tables/ in the study's folder; returns the primary verdicts and where the page is."""
    results = folder.results()
    whole = [entry for entry in results if entry["share"] == 1]
    table = verdicts(study, results)
    tables = {
        "verdicts": table,
        "runs": runs_table(results),
        "costs": cost_table(study, results, costs, plan),
        "trained_head": trained_head_table(whole),
    }
    ratios, drawn = to_loss(study, results)
    if len(ratios):
        tables["compute_to_loss"] = ratios
    tables = {name: frame for name, frame in tables.items() if len(frame)}
    for name, frame in tables.items():
        write_table(folder.path / "tables", name, frame)
    runs = {arm: [_run(folder, entry) for entry in whole if entry["arm"] == arm] for arm in study.arms}
    figures = {
        "forest": forest(table) if (table["seeds"] > 0).any() else None,
        "curves": loss_curves({arm: members for arm, members in runs.items() if members}),
        "objectives": objectives({arm: members for arm, members in runs.items() if members}),
        "budgets": budgets(drawn, study.args.budget) if drawn else None,
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
        figures={name: figure and _svg(figure) for name, figure in figures.items()},
        tables={name: _html(frame) for name, frame in tables.items()},
        downloads={
            f"{name}.{kind}": _data_url(folder.path / "tables" / f"{name}.{kind}")
            for name in tables
            for kind in ("csv", "tex")
        },
        methods=methods(study, plan, costs),
        formula=FORMULA,
        configurations={
            name: yaml.safe_dump(arm.arguments().saved(), sort_keys=True) for name, arm in study.arms.items()
        },
        versions=whole[0]["versions"] if whole else {},
    )
    (folder.path / PAGE_FILE).write_text(page, encoding="utf-8")
    shown = [text for primary, text in sentences if primary] or [text for _, text in sentences]
    return "\n".join([*shown, f"open {folder.path / PAGE_FILE}"])


def runs_table(results: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a run: its values, and what it spent."""
    return pd.DataFrame(
        [
            {"arm": r["arm"], "seed": r["seed"], "share": r["share"], "steps": r["steps"], **r["values"], **r["spent"]}
            for r in results
        ]
    )


def cost_table(
    study: Study, results: list[dict[str, Any]], costs: dict[str, StepCost], plan: dict[str, dict[float, int]]
) -> pd.DataFrame:
    """A row an arm: planned steps, and the mean that its whole runs really spent, also as a share of the control's."""
    rows = []
    for arm in study.arms:
        spent = pd.DataFrame([r["spent"] for r in results if r["arm"] == arm and r["share"] == 1], columns=list(UNITS))
        rows.append(
            {
                "arm": arm,
                "steps": plan[arm][1.0],
                "sampling seconds a step": costs[arm].sampling_seconds,
                **spent.mean(),
            }
        )
    table = pd.DataFrame(rows).set_index("arm")
    for unit in UNITS:
        table[f"{unit}, share of {study.control.name}"] = table[unit] / table.loc[study.control.name, unit]
    return table.reset_index()


def trained_head_table(results: list[dict[str, Any]]) -> pd.DataFrame:
    """Accuracy of the trained head after adaptation, which exists in some arms only and is compared within its arm."""
    return pd.DataFrame(
        [
            {
                "arm": r["arm"],
                "seed": r["seed"],
                "trained head": r["within"]["trained_head"],
                "fresh head": r["values"]["fresh_head"],
                "prototypes": r["values"]["prototypes"],
            }
            for r in results
            if r["within"]
        ]
    )


def to_loss(
    study: Study, results: list[dict[str, Any]]
) -> tuple[pd.DataFrame, dict[str, list[list[tuple[float, float]]]]]:
    """Compute to reach the control's final loss by arm and control, and the (compute, loss) points by arm and seed."""
    unit, shares = study.args.budget, sorted(study.args.budgets)
    if len(shares) < FEWEST_BUDGETS:
        return pd.DataFrame(), {}
    found = {(r["arm"], r["seed"], r["share"]): (r["spent"][unit], r["values"]["loss"]) for r in results}

    def points(arm: str, seed: int) -> list[tuple[float, float]]:
        return [found[arm, seed, share] for share in shares if (arm, seed, share) in found]

    complete = {
        arm: [seed for seed in study.args.seeds if len(points(arm, seed)) == len(shares)] for arm in study.arms
    }
    rows = []
    for arm in study.arms.values():
        for control in arm.controls:
            seeds = [seed for seed in complete[arm.name] if (control, seed, 1.0) in found]
            if not seeds:
                continue
            ratio = compute_ratio([points(arm.name, s) for s in seeds], [found[control, s, 1.0] for s in seeds])
            rows.append(
                {
                    "arm": arm.name,
                    "control": control,
                    "seeds": len(seeds),
                    "reached": sum(r < float("inf") for r in ratio.ratios),
                    **vars(ratio),
                }
            )
    drawn = {arm: [points(arm, seed) for seed in seeds] for arm, seeds in complete.items() if seeds}
    return pd.DataFrame(rows), drawn


def _run(folder: WorkFolder, entry: dict[str, Any]) -> RunData:
    name = f"{entry['arm']}-{entry['seed']}"
    return load_run(folder.path / "runs" / name, name)


def _svg(figure: Figure) -> Markup:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = file.getvalue()
    return Markup(text[text.index("<svg") :])


def _html(table: pd.DataFrame) -> Markup:
    shown = table.map(lambda value: number(value) if not isinstance(value, tuple) else ", ".join(map(number, value)))
    return Markup(shown.to_html(index=False, border=0, escape=True))


def _data_url(path: Path) -> str:
    return "data:text/plain;base64," + base64.b64encode(path.read_bytes()).decode()
