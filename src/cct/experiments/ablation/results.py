"""The results of an ablation's experiments, and their summary."""

import platform
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cct import paths
from cct.data.sources import open_source
from cct.dvc import Experiment, fetch_files, list_experiments
from cct.errors import CCTError
from cct.evaluation.predictions import read_predictions
from cct.evaluation.reports import read_metrics
from cct.evaluation.softmax import DECIMALS
from cct.experiments.ablation.plan import Plan, Variant
from cct.experiments.ablation.statistics import Difference, accuracy_interval, difference, seed_deviation
from cct.experiments.reproduce import trained_on
from cct.repository import git, repository_root
from cct.runtime.machine import cpu_cores, cpu_info, installed_packages
from cct.training.history import best_accuracy, read_history

POINTS = DECIMALS - 2  # decimals of percentage points
PACKAGES = ("cct", "dvc", "keras", "mlflow", "numpy", "tensorflow")


class Result(NamedTuple):
    """The result of an experiment."""

    experiment: Experiment
    example_n: np.ndarray  # index in the test split and class of each test example, as one string
    correct_n: np.ndarray  # bool: whether its prediction is right
    test: dict[str, float]
    val_accuracy: float


def finished_experiments(plan: Plan) -> dict[str, Experiment]:
    """The experiments of a plan that DVC has, by name. If names are equal, the present commit's experiment counts."""
    names, head = plan.experiments(), git(repository_root(), "rev-parse", "HEAD")
    ordered = sorted(list_experiments(), key=lambda experiment: experiment.baseline == head)
    return {experiment.name: experiment for experiment in ordered if experiment.name in names}


def read_result(experiment: Experiment) -> Result:
    """The result of an experiment, from its files in DVC.

    Raises:
        CCTError: DVC does not have the files.
    """
    with tempfile.TemporaryDirectory(prefix="cct-ablation-") as folder:
        fetch_files(
            repository_root(),
            experiment.commit,
            list(map(str, (paths.PREDICTIONS, paths.METRICS, paths.HISTORY))),
            Path(folder),
        )
        index_n, label_n, predicted_n, _, classes = read_predictions(Path(folder, paths.PREDICTIONS))
        test = read_metrics(Path(folder, paths.METRICS))["test"]
        history = read_history(Path(folder, paths.HISTORY))
    best = int(np.flatnonzero(history["best"])[0])
    names = np.array(classes)[label_n]
    return Result(
        experiment=experiment,
        example_n=np.char.add(index_n.astype(str), names),
        correct_n=label_n == predicted_n,
        test=test,
        val_accuracy=float(best_accuracy({name: column[best] for name, column in history.items()})),
    )


def summarize(plan: Plan, results: Mapping[str, Result], *, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Every number of an ablation, ready for JSON: the base, the changes (the best of a group first), and missing ones.

    Args:
        plan: the ablation.
        results: the results of its experiments, by name.
        seconds: the seconds of training, by the name of the experiment, for experiments with known times.

    Raises:
        CCTError: two experiments were not tested on the same examples.
    """
    there = {v.name: [results[n] for n in v.experiments if n in results] for v in plan.variants()}
    first = there["base"][0]
    for result in results.values():
        if not np.array_equal(result.example_n, first.example_n):
            raise CCTError(
                f"{result.experiment.name} and {first.experiment.name} have different test examples: use one "
                "data.source for all"
            )
    correct = {name: np.array([r.correct_n for r in group]) for name, group in there.items() if group}
    deviation = seed_deviation([correct_sn.mean(axis=1).tolist() for correct_sn in correct.values()])
    degrees = sum(len(correct_sn) - 1 for correct_sn in correct.values())
    content = next(iter(plan.base.experiments.values()))
    level = content["evaluate"]["confidence_level"]

    def row(variant: Variant) -> dict[str, Any]:
        described = _accuracy_row(variant, there[variant.name], correct[variant.name], level, seconds)
        if variant.group:
            found = difference(correct[variant.name], correct["base"], deviation)
            described |= {"group": variant.group} | _difference_row(found, level, degrees)
        return described

    rows = [row(variant) for variant in plan.changes if there[variant.name]]
    groups = list(dict.fromkeys(variant.group for variant in plan.changes))
    return {
        "kind": "ablation",
        "ablation": plan.name,
        "commit": git(repository_root(), "rev-parse", "HEAD"),
        "data": open_source(Path(content["data"]["source"])).name,
        "test_examples": len(first.correct_n),
        "confidence": level,
        "seed_deviation": None if deviation is None else round(100 * deviation, POINTS),
        "seed_degrees_of_freedom": degrees,
        "base": row(plan.base),
        "changes": sorted(rows, key=lambda row: (groups.index(row["group"]), -row["points"], row["name"])),
        "missing": [variant.name for variant in plan.changes if not there[variant.name]],
        "params": content,
        "trained_on": platforms(first.experiment),
        "machine": {"cpu": cpu_info()["model"], "cores": cpu_cores(), "python": platform.python_version()},
        "packages": {name: version for name, version in installed_packages().items() if name in PACKAGES},
    }


def _accuracy_row(
    variant: Variant, group: list[Result], correct_sn: np.ndarray, level: float, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """The accuracy of a variant over its seeds, and each of its experiments."""
    low, high = accuracy_interval(correct_sn, level)
    times = [seconds[r.experiment.name] for r in group if r.experiment.name in seconds]
    return {
        "name": variant.name,
        "overrides": variant.overrides,
        "test_accuracy": round(float(correct_sn.mean()), DECIMALS),
        "test_accuracy_low": round(low, DECIMALS),
        "test_accuracy_high": round(high, DECIMALS),
        "val_accuracy": round(statistics.fmean(r.val_accuracy for r in group), DECIMALS),
        "train_seconds": round(statistics.fmean(times), 1) if times else None,
        "experiments": [
            {
                "name": r.experiment.name,
                "commit": r.experiment.commit,
                "baseline": r.experiment.baseline,
                "seed": variant.experiments[r.experiment.name]["train"]["seed"],
                "test_accuracy": r.test["accuracy"],
                "val_accuracy": r.val_accuracy,
            }
            for r in group
        ],
    }


def _difference_row(found: Difference, level: float, degrees: int) -> dict[str, Any]:
    """The difference between a change and the base, in percentage points."""
    half = found.half_width(level, degrees)
    return {
        "points": round(found.points, POINTS),
        "points_low": round(found.points - half, POINTS),
        "points_high": round(found.points + half, POINTS),
        "standard_error": round(found.error, POINTS),
        "standard_error_of_examples": round(found.examples, POINTS),
        "standard_error_of_seeds": None if found.seeds is None else round(found.seeds, POINTS),
    }


def platforms(experiment: Experiment) -> list[dict[str, Any]]:
    """The platforms that trained an experiment's model."""
    with tempfile.TemporaryDirectory(prefix="cct-ablation-") as folder:
        fetch_files(repository_root(), experiment.commit, [str(paths.MODEL)], Path(folder))
        return trained_on(Path(folder, paths.MODEL))
