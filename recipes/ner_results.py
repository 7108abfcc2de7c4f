"""Write tables and figures of fine-tuning results, with significance, beside those of the paper.

python -m pico_maml.recipes.ner_results --sweeps runs/uner-sweep --output_dir runs/uner-results
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from transformers.hf_argparser import HfArg

from ..trainers.ner.analysis import tables
from ..trainers.ner.analysis.differences import difference_statements
from ..trainers.ner.analysis.error_analysis import error_tables
from ..trainers.ner.analysis.figures import class_bars, heat_map
from ..trainers.ner.analysis.sweep_tables import Comparison, all_tables, load_results
from ..trainers.runs.folder import check_free
from ..trainers.runs.table_files import write_table
from .arguments.parser import parse, run

PERCENT = {f"table_{number}" for number in (3, 4, 5, 6, 8, 9)}


@dataclass
class NERResultsArguments:
    """Arguments of the results."""

    sweeps: list[str] = HfArg(help="Folders of sweeps, whose runs are pooled.")
    output_dir: str = HfArg(help="Folder for CSV, LaTeX and PNG files.")
    errors: bool = HfArg(default=False, help="Also analyse errors; reads the treebanks.")
    uner_dir: str | None = HfArg(
        default=None, help="Folder of the Universal NER files, for `errors` (unset: the cached ones)."
    )


def main(argv: list[str] | None = None) -> dict[str, pd.DataFrame]:
    """Run the command; returns its tables by file name."""
    args, comparison = parse((NERResultsArguments, Comparison), argv, prog="ner_results")
    output_dir = Path(args.output_dir)
    check_free(output_dir)
    results = load_results([Path(folder) for folder in args.sweeps])
    scores = tables.scores_of(results)
    arms = comparison.arms(results)
    named = all_tables(results, scores, comparison)
    if args.errors:
        named |= error_tables(results, args.uner_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    for name, table in named.items():
        write_table(output_dir, name, table, "{:.1f}" if name in PERCENT else "{:.3f}")
    for name, figure in figures(scores, *arms).items():
        figure.savefig(output_dir / f"{name}.png", dpi=150)
    for statement in difference_statements(named["differences"], *arms):
        print(statement)
    print(f"{len(results)} runs: {len(named)} tables and the figures are in {output_dir}")
    return named


def figures(scores: pd.DataFrame, baseline: str, treatment: str) -> dict[str, Figure]:
    """Figure 3 of the paper, if both ways of pretraining have runs, and a heat map a model and mode, by file name."""
    named = {}
    bars = tables.class_difference(scores, baseline, treatment)
    if len(bars):
        named["figure_3"] = class_bars(bars, f"{treatment} minus {baseline}, in language")
    for (size, pretraining, mode), table in tables.cross_f1(scores).items():
        named[f"heat_map-{size}-{pretraining}-{mode}"] = heat_map(table, f"{size} {pretraining}, {mode} fine-tuning")
    return named


if __name__ == "__main__":
    run(main)
