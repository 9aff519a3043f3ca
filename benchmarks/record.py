"""Writes finished DVC experiments as one result of the README's table (`benchmarks/result_pages.py`).

    python benchmarks/record.py NAME... --out benchmarks/results/X.json

Several experiments are seeds of one recipe. Files are read by revision from DVC's cache or remote, so the work tree may
differ. The time of the training comes from MLflow.
"""

import argparse
import difflib
import json
import shlex
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cct import paths
from cct.data.store import read_meta
from cct.dvc import Experiment, fetch_files, list_experiments
from cct.entry import entry_point
from cct.errors import CCTError
from cct.evaluation.reports import read_metrics
from cct.experiments.reproduce import trained_on
from cct.files import sha256_of_file, write_atomically
from cct.overrides import arguments
from cct.params import flatten, read_yaml
from cct.repository import git, repository_root
from cct.tracking.names import best_metrics
from cct.tracking.store import Store, explained_errors
from cct.tracking.times import epoch_seconds, training_seconds
from cct.training.history import read_history

FILES = (paths.META, *map(str, (paths.MODEL, paths.HISTORY, paths.METRICS)))
MEASURED = (
    "accuracy", "accuracy_low", "accuracy_high", "top_5_accuracy", "balanced_accuracy", "macro_f1", "loss",
    "calibration_error",
)  # fmt: skip
SEED, SOURCE = "train.seed", "data.source"
CODE = ("--", "dvc.yaml", "src")


class Run(NamedTuple):
    """One finished experiment."""

    experiment: Experiment
    parameters: dict[str, Any]  # all of params.yaml, by full name
    dependencies: dict[str, str]  # digests of the code and data that decided it, by path
    meta: dict[str, Any]
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    kinds: list[dict[str, Any]]  # platform fingerprints of the machines that trained it


class Times(NamedTuple):
    """MLflow's facts about a training, as far as they are known."""

    epochs: list[float]  # seconds of each epoch except the first, validation included
    total: float | None  # seconds
    cpu: str | None
    cores: int | None


def choose(names: Sequence[str]) -> list[Experiment]:
    """Experiments by name, or by commit if several baselines have the name.

    Raises:
        CCTError: a name fits no experiment, or several.
    """
    known, chosen = list_experiments(), []
    for name in names:
        found = [e for e in known if e.name == name or (len(name) >= 7 and e.commit.startswith(name))]
        if not found:
            near = difflib.get_close_matches(name, [e.name for e in known], n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(e.name for e in known) or 'none'}"
            raise CCTError(f"no experiment {name!r} that is finished; {hint}")
        if len(found) > 1:
            commits = ", ".join(e.commit[:12] for e in found)
            raise CCTError(
                f"experiments of {len(found)} baselines are called {name!r}: name one by its commit ({commits})"
            )
        chosen += found
    return chosen


def read(experiment: Experiment, folder: Path) -> Run:
    """Fetch the files of an experiment into `folder` and read them.

    Raises:
        CCTError: the experiment is not finished with its parameters, or DVC does not have its files.
    """
    fetch_files(repository_root(), experiment.commit, ["params.yaml", "dvc.lock"], folder)
    parameters, stages = read_yaml(folder / "params.yaml"), read_yaml(folder / "dvc.lock").get("stages", {})
    for name in ("train", "evaluate"):
        of_stage = stages.get(name, {}).get("params", {}).get("params.yaml", {})
        if not of_stage or any(parameters[section] != values for section, values in of_stage.items()):
            raise CCTError(f"experiment {experiment.name!r} is not finished: {name} has not run with its parameters")
    fetch_files(repository_root(), experiment.commit, FILES, folder)
    metrics = read_metrics(folder / paths.METRICS)
    if metrics["model"]["sha256"] != sha256_of_file(folder / paths.MODEL):
        raise CCTError(f"experiment {experiment.name!r} is not finished: its metrics are those of another model")
    table = read_history(folder / paths.HISTORY)
    needed = [dep for name in ("train", "evaluate") for dep in stages[name]["deps"]]
    return Run(
        experiment=experiment,
        parameters=flatten(parameters),
        dependencies={dep["path"]: dep["md5"] for dep in needed if dep["path"] != str(paths.MODEL)},
        meta=read_meta(folder / "data/processed"),
        metrics=metrics,
        history=[dict(zip(table, row, strict=True)) for row in zip(*(c.tolist() for c in table.values()), strict=True)],
        kinds=trained_on(folder / paths.MODEL),
    )


def must_be_seeds(found: Sequence[Run]) -> None:
    """Refuse runs that are not one recipe with different seeds.

    Raises:
        CCTError: something else differs, or two seeds are equal.
    """
    first = found[0]
    for other in found[1:]:
        pair = f"{first.experiment.name} and {other.experiment.name}"
        differing = _differing(first.parameters, other.parameters) - {SEED}
        if differing:
            raise CCTError(f"{pair} differ in more than {SEED}: {', '.join(sorted(differing))}")
        differing = _differing(first.dependencies, other.dependencies)
        if differing:
            raise CCTError(f"{pair} are of different code or data: {', '.join(sorted(differing))}")
    seeds = [run.parameters[SEED] for run in found]
    if len(set(seeds)) < len(seeds):
        raise CCTError(f"seeds must differ, but these are {', '.join(map(str, seeds))}")


def _differing(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    absent = object()
    return {name for name in {*one, *other} if one.get(name, absent) != other.get(name, absent)}


def recipe(
    parameters: dict[str, Any], committed: dict[str, Any], presets: dict[str, dict[str, Any]], *, aside: Sequence[str]
) -> str:
    """The command that turns the committed parameters into `parameters`, except those in `aside`.

    It names the preset with the fewest further options, so that a reader sees a recipe and not twenty numbers.
    """

    def rest(preset: dict[str, Any]) -> dict[str, Any]:
        other = _differing(parameters, committed | preset) - {*aside}
        return {name: value for name, value in parameters.items() if name in other}

    best = min([{}, *presets.values()], key=lambda preset: len(rest(preset)))
    named = [f"$(cct preset {name})" for name, preset in presets.items() if preset is best]
    return " ".join(["dvc exp run", *named, *map(shlex.quote, arguments(rest(best)))])


def times(store: Store, run: Run) -> Times:
    """The time and machine of the training, from its MLflow run."""
    experiment = run.experiment
    sha256 = run.metrics["model"]["sha256"]
    logged = store.runs(experiment=experiment.name, commit=experiment.baseline, model_sha256=sha256)
    if not logged:
        return Times([], None, None, None)
    trained = store.client.get_run(logged[0].data.tags.get("cct.trained_in", logged[0].info.run_id))
    run_id = trained.info.run_id
    cpu = cores = None
    if "environment.json" in {file.path for file in store.client.list_artifacts(run_id)}:
        with tempfile.TemporaryDirectory() as folder:
            path = store.client.download_artifacts(run_id, "environment.json", folder)
            record = json.loads(Path(path).read_text(encoding="utf-8"))
        cpu, cores = record["cpu"], record["cores"]
    seconds = epoch_seconds(store, run_id)
    if not seconds or len(seconds) < len(run.history) - 1:  # MLflow has not recorded every epoch
        return Times([], None, cpu, cores)
    return Times(seconds, training_seconds(seconds), cpu, cores)


def result(
    found: Sequence[Run], timed: Sequence[Times], baseline: Path, *, title: str | None, data: str | None
) -> dict[str, Any]:
    """The content of the result's file.

    Args:
        found: runs of one recipe with different seeds.
        timed: times of each run.
        baseline: folder with `params.yaml` and `presets/` of the first run's baseline.
        title: title of the result. None: the model's name.
        data: title of the data set. None: its own name.
    """
    first, experiment = found[0], found[0].experiment
    committed = flatten(read_yaml(baseline / "params.yaml"))
    presets = {path.stem: flatten(read_yaml(path)) for path in (baseline / "presets").glob("*.yaml")}
    words = _with_seeds(recipe(first.parameters, committed, presets, aside=[SEED]), found)
    changed = _differing(first.parameters, committed) - {SEED}
    code = git(repository_root(), "diff", "--name-only", experiment.baseline, experiment.commit, *CODE)
    accuracies = [run.metrics["test"]["accuracy"] for run in found]
    typical = _typical_epoch(found, timed)
    machines = _machines(found, timed)
    kind = machines[0]["kind"]
    return {
        "kind": "accuracy",
        "title": title or f"`{first.parameters['model.name']}`",
        "data": {
            "title": data or first.meta["name"],
            "name": first.meta["name"],
            "digest": first.meta["digest"],
            "images": first.meta["examples"],
        },
        # The table has columns for the data and the seeds.
        "recipe": recipe(first.parameters, committed, presets, aside=[SEED, SOURCE]),
        "command": f"git checkout {experiment.baseline[:12]} && {words}",
        "commit": experiment.baseline,
        "changed_code": code.splitlines(),
        "parameters": {name: value for name, value in first.parameters.items() if name in changed},
        "model_parameters": first.metrics["model"]["parameters"],
        "epochs": first.parameters["train.epochs"],
        "accuracy": {
            "mean": round(statistics.mean(accuracies), 6),
            "sd": round(statistics.stdev(accuracies), 6) if len(accuracies) > 1 else None,
        },
        "confidence": first.parameters["evaluate.confidence_level"],
        "runs": [_row(run, each) for run, each in zip(found, timed, strict=True)],
        "seconds_per_epoch": _rounded(typical),
        "images_per_second": _rounded(typical and first.meta["examples"]["train"] / typical),
        "machines": machines,
        "versions": {kind["backend"]: kind["backend_version"]}
        | {name: kind[name] for name in ("keras", "numpy", "python")},
    }


def _with_seeds(words: str, found: Sequence[Run]) -> str:
    """The command that runs a recipe with the seeds of these runs."""
    seeds = [str(run.parameters[SEED]) for run in found]
    if len(seeds) > 1:
        return f"for seed in {' '.join(seeds)}; do {words} -S {SEED}=$seed; done"
    return f"{words} -S {SEED}={seeds[0]}"


def _machines(found: Sequence[Run], timed: Sequence[Times]) -> list[dict[str, Any]]:
    """The machines that trained these runs, each once."""
    machines = []
    for run, each in zip(found, timed, strict=True):
        described = [{"cpu": each.cpu, "cores": each.cores, "kind": kind} for kind in run.kinds]
        machines += [one for one in described if one not in machines]
    return machines


def _typical_epoch(found: Sequence[Run], timed: Sequence[Times]) -> float | None:
    """The median seconds of an epoch; None if no time is known. Epochs of different machines have no common median."""
    known = [(run, each) for run, each in zip(found, timed, strict=True) if each.epochs]
    if len(_machines([run for run, _ in known], [each for _, each in known])) != 1:
        return None
    return statistics.median(seconds for _, each in known for seconds in each.epochs)


def _row(run: Run, timed: Times) -> dict[str, Any]:
    best = best_metrics(run.history)
    return (
        {"experiment": run.experiment.name, "seed": run.parameters[SEED], "epochs": len(run.history)}
        | {name: run.metrics["test"].get(name) for name in MEASURED}
        | {"val_accuracy": round(best["best/val_accuracy"], 6), "best_epoch": best["best/epoch"]}
        | {"seconds": _rounded(timed.total)}
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def write_result(content: dict[str, Any], options: argparse.Namespace) -> None:
    """Write the content of a result's file with the conditions of the options, and print its accuracy."""
    out, content = options.out, content | {"shared_machine": options.shared_machine, "note": options.note}
    write_atomically(out, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
    mean, sd = content["accuracy"].values()
    print(f"{out}: {content['title']}, test accuracy {mean:.2%}" + (f" ± {sd:.2%}" if sd is not None else ""))


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Options of the commands that write a result."""
    parser.add_argument("--out", type=Path, required=True, help="benchmarks/results/X.json")
    parser.add_argument("--title", help="of the row in the table (default: the model's name)")
    parser.add_argument("--data", help='what the data set is called, as "CIFAR-10, JPEG copy" (default: its name)')
    parser.add_argument("--note", help="a sentence about the conditions")
    parser.add_argument(
        "--shared-machine", action="store_true", help="other work ran beside it: its times are upper bounds"
    )


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="NAME", help="a finished experiment (dvc exp list), or its commit")
    add_result_options(parser)
    options = parser.parse_args()
    chosen = choose(options.names)
    with tempfile.TemporaryDirectory(prefix="cct-record-") as folder:
        found = [read(experiment, Path(folder, str(place))) for place, experiment in enumerate(chosen)]
        must_be_seeds(found)
        baseline = Path(folder, "baseline")
        fetch_files(repository_root(), chosen[0].baseline, ["params.yaml", "presets"], baseline)
        with explained_errors():
            store = Store()
            timed = [times(store, run) for run in found]
        content = result(found, timed, baseline, title=options.title, data=options.data)
    write_result(content, options)


if __name__ == "__main__":
    sys.exit(main())
