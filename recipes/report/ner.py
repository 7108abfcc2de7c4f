"""The report's section on NER sweeps: tables, heat maps and error analysis (trainers/ner/analysis computes them)."""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ...trainers import InputError
from ...trainers.ner.analysis import tables
from ...trainers.ner.analysis.differences import difference_statements
from ...trainers.ner.analysis.error_analysis import error_tables
from ...trainers.ner.analysis.figures import class_bars, heat_map
from ...trainers.ner.analysis.sweep_tables import Comparison, all_tables, load_results
from ...trainers.runs.reader import RunData

TITLES = {
    "differences": "Differences: t test over pretraining runs crossed with sentences, Holm-corrected",
    "seeds": "F1 over pretraining runs and fine-tuning seeds",
    "table_3": "Table 3: relative improvement (%), by group of test sets",
    "table_4": "Table 4: relative improvement (%), head-only fine-tuning",
    "table_5": "Table 5: relative improvement (%), full fine-tuning",
    "table_6": "Table 6: relative improvement (%) on languages never fine-tuned on",
    "table_7": "Table 7: in-language F1, head-only fine-tuning",
    "table_7_full": "In-language F1, full fine-tuning",
    "table_8": "Table 8: relative improvement (%), head-only, every treebank",
    "table_9": "Table 9: relative improvement (%), full, every treebank",
}
ERRORS = {
    "errors": "Recall by length and by whether training showed the entity",
    "confusions": "Entities that were tagged as something else",
    "longest_entities": "The longest entities",
}


@dataclass
class NERPart:
    """What the report shows of sweeps: tables and figures by file name, heat maps by title; empty without any.

    Attributes:
        count: finished runs.
        statements: what the differences show, with test, number of runs and intervals.
        note: why there is no error analysis; empty when there is one.
        f1: mean in-language F1 of the runs of the report that were fine-tuned, by label.
    """

    count: int = 0
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    heat_maps: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)
    note: str = ""
    f1: dict[str, float] = field(default_factory=dict)


def ner_part(sweeps: list[str], comparison: Comparison, uner_dir: str | None, runs: list[RunData]) -> NERPart:
    """Read sweeps and compute their tables, figures and error analysis.

    Raises:
        InputError: a folder holds no finished run.
    """
    results = load_results([Path(folder) for folder in sweeps])
    scores = tables.scores_of(results)
    arms = comparison.arms(results)
    part = NERPart(len(results), all_tables(results, scores, comparison), f1=_downstream_f1(results, runs))
    part.statements = difference_statements(part.tables["differences"], *arms)
    try:
        part.tables |= error_tables(results, uner_dir)
    except InputError as error:
        part.note = f"No error analysis, because the treebanks could not be read: {error}"
    bars = tables.class_difference(scores, *arms)
    if len(bars):
        part.figures["figure_03-difference_by_class"] = class_bars(bars, f"{arms[1]} minus {arms[0]}")
    for (size, pretraining, mode), table in tables.cross_f1(scores).items():
        title = f"{size} {pretraining}, {mode} fine-tuning"
        part.heat_maps[title] = table
        part.figures[f"heat_map-{size}-{pretraining}-{mode}"] = heat_map(table, title)
    return part


def _downstream_f1(results: list[dict[str, Any]], runs: list[RunData]) -> dict[str, float]:
    """Mean in-language F1 over modes, treebanks and seeds, by label of the run that was fine-tuned."""
    labels = {run.path.resolve(): run.label for run in runs}
    scores: dict[str, list[float]] = {}
    for result in results:
        label, own = labels.get(Path(result["path"]).resolve()), result["scores"].get(result["train_on"])
        if label and own:
            scores.setdefault(label, []).append(own["f1"])
    return {label: mean(f1) for label, f1 in scores.items()}
