"""Tables, figures and significance of fine-tuning results, beside those of the paper.

python -m pico_maml.recipes.ner_results --sweeps runs/uner-sweep --output_dir runs/uner-results
"""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ..trainers import InputError
from ..trainers.ner.analysis import tables
from ..trainers.ner.analysis.error_tables import error_tables
from ..trainers.ner.analysis.figures import class_bars, heat_map
from ..trainers.ner.analysis.sweep_tables import Comparison, all_tables, load_results
from ..trainers.runs.folder import check_free
from .arguments.parser import parse, run

PERCENT = {f"table_{number}" for number in (3, 4, 5, 6, 8, 9)}


@dataclass
class NERResultsArguments:
    """Arguments of the results."""

    sweeps: list[str] = field(metadata={"help": "Folders of sweeps; their runs are taken together."})
    output_dir: str = field(metadata={"help": "Folder for CSV, LaTeX and PNG files."})
    baseline: str = field(default="vanilla", metadata={"help": "Pretraining that is compared with."})
    treatment: str = field(default="maml", metadata={"help": "Pretraining that is compared."})
    transfer_from: list[str] | None = field(
        default=None, metadata={"help": "Treebanks trained on that Table 6 averages over (unset: all)."}
    )
    bootstrap_samples: int = field(default=1000, metadata={"help": "Resamplings behind each interval and p-value."})
    errors: bool = field(default=False, metadata={"help": "Also analyse errors, which reads the treebanks again."})
    uner_dir: str | None = field(
        default=None, metadata={"help": "Folder of the Universal NER files, for `errors` (unset: the cached ones)."}
    )

    def __post_init__(self) -> None:
        if self.bootstrap_samples < 1:
            raise InputError(f"bootstrap_samples must be at least 1, got {self.bootstrap_samples}")
        if self.baseline == self.treatment:
            raise InputError(f"baseline and treatment are both {self.baseline!r}: name two ways of pretraining")

    def comparison(self) -> Comparison:
        """The two ways of pretraining that the tables compare."""
        return Comparison(self.baseline, self.treatment, self.bootstrap_samples, self.transfer_from)


def main(argv: list[str] | None = None) -> dict[str, pd.DataFrame]:
    """Run the recipe; returns its tables by file name."""
    (args,) = parse((NERResultsArguments,), argv, prog="ner_results")
    output_dir = Path(args.output_dir)
    check_free(output_dir)
    results = load_results([Path(folder) for folder in args.sweeps])
    scores = tables.scores_of(results)
    made = all_tables(results, scores, args.comparison())
    if args.errors:
        made |= error_tables(results, args.uner_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    for name, table in made.items():
        write_table(output_dir / name, table)
    bars = tables.class_difference(scores, args.baseline, args.treatment)
    if len(bars):
        title = f"{args.treatment} minus {args.baseline}, in language"
        class_bars(bars, title).savefig(output_dir / "figure_3.png", dpi=150)
    for size, pretraining, mode in dict.fromkeys(
        zip(scores["size"], scores["pretraining"], scores["mode"], strict=True)
    ):
        table = tables.cross_f1(scores, size, pretraining, mode)
        figure = heat_map(table, f"{size} {pretraining}, {mode} fine-tuning")
        figure.savefig(output_dir / f"heat_map-{size}-{pretraining}-{mode}.png", dpi=150)
    print(f"{len(results)} runs: {len(made)} tables and the figures are in {output_dir}")
    return made


def write_table(path: Path, table: pd.DataFrame) -> None:
    """A table as CSV, and as LaTeX: percentages with one digit, F1 with three; what cannot be given is "n/a"."""
    numbered = isinstance(table.index, pd.RangeIndex)
    table.to_csv(path.with_suffix(".csv"), na_rep="n/a", index=not numbered)
    digits = "{:.1f}".format if path.name in PERCENT else "{:.3f}".format
    latex = table.to_latex(na_rep="n/a", float_format=digits, index=not numbered, escape=True)
    path.with_suffix(".tex").write_text(latex)


if __name__ == "__main__":
    run(main)
