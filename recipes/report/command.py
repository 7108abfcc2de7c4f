"""A report of one or more pretraining runs: one page to look at, figures and tables to publish.

python -m pico_maml.recipes.report runs/demo runs/vanilla --output runs/report
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from ...trainers import InputError
from ...trainers.ner.analysis.sweep_tables import Comparison
from ...trainers.runs.reader import load_runs
from ..arguments.parser import parse
from .findings import find
from .ner import ner_part
from .output import check_output, write_output
from .page import render
from .paper_figures import paper_figures, write_figures
from .tables import curve_table, write_table


@dataclass
class ReportArguments:
    """Arguments of the report."""

    runs: list[str] = field(
        default_factory=list,
        metadata={"help": "Folders of pretraining runs, finished or not; they may stand first, without --runs."},
    )
    output: str = field(
        default="runs/report", metadata={"help": "Folder for the report; an earlier one is refreshed."}
    )
    sweeps: list[str] = field(
        default_factory=list, metadata={"help": "Folders of NER sweeps to show as well (none: no NER section)."}
    )
    baseline: str = field(default="vanilla", metadata={"help": "Pretraining that the sweeps' tables compare with."})
    treatment: str = field(default="maml", metadata={"help": "Pretraining that they compare."})
    bootstrap_samples: int = field(
        default=1000, metadata={"help": "Resamplings behind each interval and p-value of the sweeps."}
    )
    uner_dir: str | None = field(
        default=None,
        metadata={
            "help": "Folder of the Universal NER files, for the sweeps' error analysis (unset: the cached ones)."
        },
    )
    formats: list[str] = field(
        default_factory=lambda: ["png", "pdf"], metadata={"help": "Of the figures: png, pdf, svg; or none."}
    )

    def __post_init__(self) -> None:
        unknown = set(self.formats) - {"png", "pdf", "svg", "none"}
        if unknown:
            raise InputError(f"formats must be png, pdf, svg or none, got {', '.join(sorted(unknown))}")
        if "none" in self.formats:
            self.formats = []

    def comparison(self) -> Comparison:
        """The two ways of pretraining that the sweeps' tables compare."""
        return Comparison(self.baseline, self.treatment, self.bootstrap_samples)


def arguments(argv: list[str] | None = None) -> ReportArguments:
    """Read the command line, on which the runs may stand first."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and not argv[0].startswith("-"):
        argv = ["--runs", *argv]
    return parse((ReportArguments,), argv, prog="report")[0]


def main(argv: list[str] | None = None) -> Path:
    """Run the recipe; returns the path of the page."""
    args = arguments(argv)
    output = Path(args.output)
    check_output(output)
    runs = load_runs(args.runs)
    ner = ner_part(args.sweeps, args.comparison(), args.uner_dir, runs) if args.sweeps else None
    found = find(runs, ner.f1 if ner else {})

    def write(folder: Path) -> None:
        if args.formats:
            write_figures(folder / "figures", paper_figures(runs, found.analysed), args.formats)
            write_figures(folder / "figures", ner.figures.items() if ner else (), args.formats)
        tables = {
            "summary": found.summary,
            "phases": found.phases,
            "layers": found.layers,
            "relations": found.relations,
        }
        for name, table in (tables | (ner.tables if ner else {})).items():
            write_table(folder / "tables", name, table)
        curve_table(runs).to_csv(folder / "tables" / "curves.csv", index=False, na_rep="n/a")
        files = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))
        (folder / "index.html").write_text(render(runs, found, ner, files), encoding="utf-8")

    write_output(output, write)
    print(f"{', '.join(run.label for run in runs)}: open {output / 'index.html'}")
    return output / "index.html"
