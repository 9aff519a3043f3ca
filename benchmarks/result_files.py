"""Results of the kind "accuracy": their files in `benchmarks/results/`, and the table of all of them.

`record.py` and `record_gpu.py` write them. Older ones were written by hand, and their notes say so.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from common import read_json, widest
from pydantic import Field

from cct.params import Section, parse

COLUMNS = (
    "data", "model", "parameters", "epochs", "test accuracy", "time an epoch", "examples/s", "machine",
)  # fmt: skip


class Data(Section):
    """The data set of training and test."""

    title: str = Field(description="for people")
    name: str = Field(description="as in meta.json")
    digest: str | None = Field(description="of the arrays")
    images: dict[Literal["train", "val", "test"], int] = Field(description="of each split")


class Accuracy(Section):
    """Accuracy over the seeds."""

    mean: float = Field(ge=0, le=1)
    sd: float | None = Field(ge=0, le=1, description="of the sample; null of one seed")


class Run(Section):
    """The run of one seed. Unknown values are null."""

    experiment: str | None
    seed: int
    epochs: int
    accuracy: float = Field(ge=0, le=1)
    accuracy_low: float | None = Field(ge=0, le=1)
    accuracy_high: float | None = Field(ge=0, le=1)
    top_5_accuracy: float | None = Field(ge=0, le=1)
    # These two are newer than the first results.
    balanced_accuracy: float | None = Field(None, ge=0, le=1)
    macro_f1: float | None = Field(None, ge=0, le=1)
    loss: float | None
    calibration_error: float | None
    val_accuracy: float | None = Field(ge=0, le=1)
    best_epoch: int | None
    seconds: float | None = Field(description="of the training")


class Machine(Section):
    """The machine of a training."""

    cpu: str | None
    cores: int | None
    kind: dict[str, Any] | None = Field(description="as cct.runtime.backend.configure_backend returns it")


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
    shared_machine: bool = Field(False, description="whether other work ran beside it: its times are upper bounds")
    machines: list[Machine] = Field(min_length=1)
    versions: dict[str, str]
    note: str | None


def read(folder: Path) -> list[Result]:
    """Results of the kind "accuracy", in the order of the table: by data, then by accuracy.

    Raises:
        CCTError: a file is not valid.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        content = read_json(path)
        if content.get("kind") == "accuracy":
            found.append(parse(Result, content, where=path))
    return sorted(found, key=lambda result: (result.data.title, result.accuracy.mean))


def markdown(results: Sequence[Result], trec: Mapping[str, Any] | None = None) -> str:
    """The table of results, with those of models of texts from `trec.json`."""
    cases = [] if trec is None else [case for case in trec["cases"].values() if not case["change"]]
    return markdown_table(COLUMNS, [*map(_cells, results), *(_text_cells(case, trec) for case in cases)])


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown. A column without any cell is left out."""
    escaped = [[cell.replace("|", "\\|") for cell in cells] for cells in rows]
    filled = [place for place in range(len(columns)) if any(cells[place] for cells in escaped)]
    lines = (columns, ["---"] * len(columns), *escaped)
    return "\n".join(f"| {' | '.join(cells[place] for place in filled)} |" for cells in lines)


def _cells(result: Result) -> list[str]:
    seeds, first = len(result.runs), result.runs[0]
    accuracy = mean_and_sd(result.accuracy.mean, result.accuracy.sd, seeds=seeds)
    if seeds == 1 and (interval := interval_of(first)):
        accuracy += f" ({100 * interval[0]:.2f} to {100 * interval[1]:.2f})"
    if result.seconds_per_epoch is not None:
        time = f"{'at most ' * result.shared_machine}{result.seconds_per_epoch:.3g} s"
    elif result.pipeline_seconds is not None:
        time = f"({result.pipeline_seconds:,.0f} s, the whole pipeline)"
    else:
        time = ""
    return [
        result.data.title,
        result.title,
        f"{result.model_parameters:,}",
        f"{result.epochs:,}",
        accuracy,
        time,
        "" if result.images_per_second is None or result.shared_machine else f"{result.images_per_second:,.0f}",
        " and ".join(dict.fromkeys(map(place_of, result.machines))),
    ]


def interval_of(run: Run) -> tuple[float, float] | None:
    """The interval of a run's accuracy. Results written by hand may lack it."""
    known = run.accuracy_low is not None and run.accuracy_high is not None
    return (run.accuracy_low, run.accuracy_high) if known else None


def mean_and_sd(mean: float, sd: float | None, *, seeds: int) -> str:
    """An accuracy in percent, with the sample's standard deviation where there are several seeds."""
    return f"{100 * mean:.2f} %" if sd is None else f"{100 * mean:.2f} ± {100 * sd:.2f} % ({seeds} seeds)"


def _text_cells(case: Mapping[str, Any], trec: Mapping[str, Any]) -> list[str]:
    case = {"epochs": trec["epochs"], "machine": trec["machine"]} | case  # older files have them once, for all cases
    seconds = statistics.median(run["seconds"] / case["epochs"] for run in case["runs"])
    return [
        "TREC, 6 classes of questions",
        f"`{case['model']}`, changed recipe `text`{' with GloVe' if case['embeddings'] else ''}",
        f"{case['runs'][0]['parameters']:,}",
        f"{case['epochs']}",
        mean_and_sd(case["mean"], case["std"], seeds=len(case["runs"])),
        f"at most {seconds:.3g} s",  # the whole training's time has its compilation, too
        "",
        case["machine"],
    ]


def place_of(machine: Machine) -> str:
    """What it was trained on: GPUs, or cores of a CPU and the widest of its instructions."""
    kind = machine.kind or {}
    if kind.get("gpus"):
        return ", ".join(kind["gpus"])
    instructions = f" ({widest(kind['cpu_flags'])})" if "cpu_flags" in kind else ""
    return f"{machine.cores or '?'} cores of {machine.cpu or 'an unknown CPU'}{instructions}"


def minutes_of(result: Result) -> float | None:
    """Mean minutes of the trainings, or of all stages where only that is known; None if neither is."""
    known = [run.seconds for run in result.runs if run.seconds is not None]
    if known:
        return statistics.fmean(known) / 60
    if result.seconds_per_epoch is not None:
        return result.epochs * result.seconds_per_epoch / 60
    return None if result.pipeline_seconds is None else result.pipeline_seconds / 60


def at_most(result: Result) -> bool:
    """Whether the training took less than `minutes_of` says."""
    return result.shared_machine or all(run.seconds is None for run in result.runs)


def commands(results: Sequence[Result]) -> str:
    """The command of every result that has one, without data and seed."""
    return "\n".join(
        f"- {result.title}, {result.epochs:,} epochs: `{result.recipe}`" for result in results if result.recipe
    )
