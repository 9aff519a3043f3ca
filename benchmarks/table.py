"""Makes the README's tables, and the figure of the ablation, from `benchmarks/results/*.json`.

    python benchmarks/table.py [--check]

Accuracies are written by `record.py`; those older than it were written by hand, and say so in their note. `speed.json`
is `speed.py`'s and `ablation.json` is a copy of what `make ablate` leaves in `reports/ablation/`.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from cct.entry import entry_point
from cct.errors import CCTError
from cct.evaluation.figures.style import save_figure
from cct.experiments.ablation.figure import plot_ablation
from cct.experiments.ablation.table import ablation_table
from cct.params import Section, parse

HERE = Path(__file__).parent
RESULTS, README, FIGURE = HERE / "results", HERE.parent / "README.md", HERE.parent / "docs/ablation.png"
BEGIN, END = "<!-- {}: made by benchmarks/table.py -->", "<!-- end -->"
COLUMNS = (
    "data", "model, recipe", "parameters", "epochs", "seeds", "test accuracy", "time an epoch", "images/s", "machine",
)  # fmt: skip
TITLES = {  # of what `contender.AUGMENTATIONS` names
    "default": "`params.yaml`: crop and flip",
    "randaugment": "crop, flip, RandAugment",
    "all": "resized crop, flip, RandAugment, erasing, MixUp, CutMix",
}


class Data(Section):
    """What was trained and tested on."""

    title: str = Field(description="for people")
    name: str = Field(description="as in meta.json")
    digest: str | None = Field(description="of the arrays")
    images: dict[Literal["train", "val", "test"], int] = Field(description="of each split")


class Accuracy(Section):
    """Over the seeds."""

    mean: float = Field(ge=0, le=1)
    sd: float | None = Field(ge=0, le=1, description="of the sample; null of one seed")


class Run(Section):
    """One seed. Null is what is not known."""

    experiment: str | None
    seed: int
    epochs: int
    accuracy: float = Field(ge=0, le=1)
    accuracy_low: float | None = Field(ge=0, le=1)
    accuracy_high: float | None = Field(ge=0, le=1)
    top_5_accuracy: float | None = Field(ge=0, le=1)
    loss: float | None
    calibration_error: float | None
    val_accuracy: float | None = Field(ge=0, le=1)
    best_epoch: int | None
    seconds: float | None = Field(description="of the training")


class Machine(Section):
    """Where it was trained."""

    cpu: str | None
    cores: int | None
    kind: dict[str, Any] | None = Field(description="as cct.runtime.configure returns it")


class Result(Section):
    """A file in `benchmarks/results/` of the kind "accuracy"."""

    kind: Literal["accuracy"]
    title: str
    data: Data
    recipe: str | None = Field(description="command, without data and seed")
    command: str | None = Field(description="all of it")
    commit: str | None = Field(description="that it is run on")
    changed_code: list[str] | None = Field(description="files that were not as in that commit")
    parameters: dict[str, Any] = Field(description="that differ from those of the commit")
    model_parameters: int
    epochs: int
    accuracy: Accuracy
    confidence: float = Field(gt=0, lt=1, description="of the interval of each run")
    runs: list[Run] = Field(min_length=1)
    seconds_per_epoch: float | None = Field(description="median, validation included")
    images_per_second: float | None = Field(description="training images in that time")
    pipeline_seconds: float | None = Field(None, description="of all stages, where the epoch's are not known")
    machines: list[Machine] = Field(min_length=1)
    versions: dict[str, str]
    note: str | None


def read(folder: Path) -> list[Result]:
    """Results of the kind "accuracy", in the order of the table: by data, then by accuracy.

    Raises:
        CCTError: a file is not what it must be.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CCTError(f"{path} is not JSON: {error}") from error
        if content.get("kind") == "accuracy":
            found.append(parse(Result, content, where=path))
    return sorted(found, key=lambda result: (result.data.title, result.accuracy.mean))


def markdown(results: Sequence[Result]) -> str:
    """The table."""
    return _table(COLUMNS, map(_cells, results))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    escaped = ([cell.replace("|", "\\|") for cell in cells] for cells in rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *escaped))


def _cells(result: Result) -> list[str]:
    seeds, first = len(result.runs), result.runs[0]
    if seeds > 1:
        accuracy = f"{100 * result.accuracy.mean:.2f} ± {100 * result.accuracy.sd:.2f} %"
    else:
        accuracy = f"{first.accuracy:.2%}".replace("%", " %")
        if first.accuracy_low is not None and first.accuracy_high is not None:
            accuracy += f" ({100 * first.accuracy_low:.2f} to {100 * first.accuracy_high:.2f})"
    if result.seconds_per_epoch is not None:
        time = f"{result.seconds_per_epoch:.3g} s"
    elif result.pipeline_seconds is not None:
        time = f"({result.pipeline_seconds:,.0f} s, the whole pipeline)"
    else:
        time = ""
    return [
        result.data.title,
        result.title + (f", `{result.recipe}`" if result.recipe else ""),
        f"{result.model_parameters:,}",
        f"{result.epochs:,}",
        str(seeds),
        accuracy,
        time,
        "" if result.images_per_second is None else f"{result.images_per_second:,.0f}",
        " and ".join(dict.fromkeys(map(_place, result.machines))),
    ]


def _place(machine: Machine) -> str:
    gpus = (machine.kind or {}).get("gpus")
    return ", ".join(gpus) if gpus else f"{machine.cores or '?'} cores of {machine.cpu or 'an unknown CPU'}"


def augmentation(speed: Mapping[str, Any]) -> str:
    """What augmentation costs, by `speed.json`."""
    rows = {(row["augmentation"], row["precision"]): row for row in speed["augmentation"]["rows"]}
    precisions = list(dict.fromkeys(precision for _, precision in rows))
    columns = ["augmentation", "ms a batch"]
    for precision in precisions:
        columns += [f"`{precision}`: share of a step", "`fit` takes"]
    lines = []
    for name in dict.fromkeys(name for name, _ in rows):
        found = [rows[name, precision] for precision in precisions]
        cells = [TITLES[name], f"{min(row['milliseconds_per_batch'] for row in found):.2g}"]
        for row in found:
            share, ratio = row["share"], row["fit_ratio"]
            cells += [
                f"{100 * share[0]:.2g} % ({100 * share[1]:.2g} to {100 * share[2]:.2g})",
                f"{ratio[0]:.2f} times as long ({ratio[1]:.2f} to {ratio[2]:.2f})",
            ]
        lines.append(cells)
    return _table(columns, lines)


def tables(folder: Path) -> dict[str, str]:
    """Every table of the README by the name in its markers.

    Raises:
        CCTError: a file is not what it must be.
    """

    def content(name: str) -> dict[str, Any]:
        return json.loads((folder / name).read_text(encoding="utf-8"))

    _, _, compared = ablation_table(content("ablation.json")).partition("\n\n")  # without its heading
    return {
        "results": markdown(read(folder)),
        "ablation": compared.rstrip(),
        "augmentation": augmentation(content("speed.json")),
    }


def inserted(text: str, name: str, table: str) -> str:
    """The README with this table between its markers.

    Raises:
        CCTError: the markers are not there, once each and in order.
    """
    marker = BEGIN.format(name)
    before, begin, rest = text.partition(f"{marker}\n")
    _, end, after = rest.partition(END)
    if not end or marker in rest:
        raise CCTError(f"README.md must have the lines {marker} and {END} once, around the table")
    return f"{before}{begin}{table}\n{end}{after}"


def filled(text: str, folder: Path) -> str:
    """The README with all its tables."""
    for name, table in tables(folder).items():
        text = inserted(text, name, table)
    return text


@entry_point
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a table is not up to date")
    arguments = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    made = filled(text, RESULTS)
    if arguments.check:
        if made != text:
            raise CCTError("the tables in README.md are not up to date: run python benchmarks/table.py")
        return 0
    README.write_text(made, encoding="utf-8")
    save_figure(plot_ablation(json.loads((RESULTS / "ablation.json").read_text(encoding="utf-8"))), FIGURE, dpi=100)
    return 0


if __name__ == "__main__":
    sys.exit(main())
