"""A report of one or more pretraining runs: a page to read, figures and tables to publish.

python -m pico_maml.recipes.report runs/demo runs/vanilla --output runs/report
"""

import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from transformers.hf_argparser import HfArg

from ...trainers.checks import check_choice
from ...trainers.ner.analysis.sweep_tables import Comparison
from ...trainers.runs.reader import load_runs
from ...trainers.runs.table_files import write_table
from ..arguments.parser import parse
from .analysis.findings import find
from .analysis.tables import curve_tables, measurement_table
from .few_shot import few_shot_figure, few_shot_table
from .ner import NERPart, ner_part
from .output import check_output, write_output
from .page.render import render
from .paper_figures import paper_figures, write_figures


@dataclass
class ReportArguments:
    """Arguments of the report."""

    runs: list[str] = HfArg(
        default_factory=list, help="Folders of pretraining runs, finished or not; may come first, without --runs."
    )
    output: str = HfArg(default="runs/report", help="Folder of the report; an earlier report in it is replaced.")
    sweeps: list[str] = HfArg(default_factory=list, help="Folders of NER sweeps to add (none: no NER section).")
    uner_dir: str | None = HfArg(
        default=None, help="Folder of the Universal NER files, for errors of sweeps (unset: the cached)."
    )
    formats: list[str] = HfArg(
        default_factory=list, help="Also figures for print, in these formats: png, pdf, svg (none: no figures)."
    )

    def __post_init__(self) -> None:
        for name in self.formats:
            check_choice("formats", name, ("png", "pdf", "svg", "none"))
        if "none" in self.formats:
            self.formats = []


def main(argv: list[str] | None = None) -> Path:
    """Write the report and return the path of its page."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and not argv[0].startswith("-"):
        argv = ["--runs", *argv]
    args, comparison = parse((ReportArguments, Comparison), argv, prog="report")
    output = Path(args.output)
    check_output(output)
    runs = load_runs(args.runs)
    ner = ner_part(args.sweeps, comparison, args.uner_dir, runs) if args.sweeps else NERPart()
    few_shot = few_shot_table(runs)
    findings = find(runs, ner.f1)

    def write(folder: Path) -> None:
        if args.formats:
            curves = [("few_shot", few_shot_figure(few_shot))] if len(few_shot) else []
            figures = chain(paper_figures(runs, findings.analysed), ner.figures.items(), curves)
            write_figures(folder / "figures", figures, args.formats)
        for name, table in (findings.tables | ner.tables | ({"few_shot": few_shot} if len(few_shot) else {})).items():
            write_table(folder / "tables", name, table)
        measurement_table(runs).to_csv(folder / "tables" / "learning_dynamics.csv", index=False, na_rep="n/a")
        # One after the other: those of many long runs are gigabytes.
        with (folder / "tables" / "curves.csv").open("w", encoding="utf-8", newline="") as file:
            for number, table in enumerate(curve_tables(runs)):
                table.to_csv(file, header=number == 0, index=False, na_rep="n/a")
        files = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))
        (folder / "index.html").write_text(render(runs, findings, ner, few_shot, files), encoding="utf-8")

    write_output(output, write)
    print(f"{', '.join(run.label for run in runs)}: open {output / 'index.html'}")
    return output / "index.html"
