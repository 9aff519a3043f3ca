"""What the experiments of an ablation came to, and all of it as numbers."""

import platform
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cct import paths
from cct.data.sources import read_source
from cct.dvc import Experiment, fetch_files, list_experiments
from cct.errors import CCTError
from cct.evaluation.metrics import DECIMALS
from cct.evaluation.predictions import read_predictions
from cct.evaluation.reports import read_metrics
from cct.experiments.ablation.plan import Plan, Variant
from cct.experiments.ablation.statistics import accuracy_interval, difference, seed_deviation
from cct.experiments.reproduce import trained_on
from cct.repository import git, repository_root
from cct.runtime.machine import cpu_cores, cpu_info, installed_packages
from cct.training.history import best_accuracy, read_history

PACKAGES = ("cct", "dvc", "keras", "mlflow", "numpy", "tensorflow")


class Result(NamedTuple):
    """What an experiment of DVC's came to."""

    experiment: Experiment
    image_n: np.ndarray  # its index in the test split and its class, as one string each
    correct_n: np.ndarray  # of the n test images: was it right
    test: dict[str, float]
    val_accuracy: float


def finished_experiments(whole: Plan) -> dict[str, Experiment]:
    """The experiments of a plan that DVC has, by name: of several commits', the one of this."""
    names, head = whole.experiments(), git(repository_root(), "rev-parse", "HEAD")
    ordered = sorted(list_experiments(), key=lambda experiment: experiment.baseline == head)
    return {experiment.name: experiment for experiment in ordered if experiment.name in names}


def read_result(experiment: Experiment) -> Result:
    """What an experiment came to, from the files that DVC has of it.

    Raises:
        CCTError: DVC does not have them.
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
    chosen = int(np.flatnonzero(history["best"])[0])
    names = np.array(classes)[label_n]
    return Result(
        experiment=experiment,
        image_n=np.char.add(index_n.astype(str), names),
        correct_n=label_n == predicted_n,
        test=test,
        val_accuracy=float(best_accuracy({name: column[chosen] for name, column in history.items()})),
    )


def summarize(whole: Plan, results: Mapping[str, Result], *, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Every number of an ablation, ready for JSON: the base, the changes (the best first), and what is missing.

    Raises:
        CCTError: two experiments were not tested on the same images.
    """
    there = {v.name: [results[n] for n in v.experiments if n in results] for v in whole.variants()}
    first = there["base"][0]
    for result in results.values():
        if not np.array_equal(result.image_n, first.image_n):
            raise CCTError(f"{result.experiment.name} and {first.experiment.name} have other test images")
    correct = {name: np.array([r.correct_n for r in group]) for name, group in there.items() if group}
    deviation = seed_deviation([correct_sn.mean(axis=1).tolist() for correct_sn in correct.values()])
    degrees = sum(len(correct_sn) - 1 for correct_sn in correct.values())
    content = next(iter(whole.base.experiments.values()))
    level = content["evaluate"]["confidence"]
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)

    def described(variant: Variant) -> dict[str, Any]:
        group, correct_sn = there[variant.name], correct[variant.name]
        accuracy, (low, high) = float(correct_sn.mean()), accuracy_interval(correct_sn, level, z)
        times = [seconds[r.experiment.name] for r in group if r.experiment.name in seconds]
        row = {
            "name": variant.name,
            "overrides": variant.overrides,
            "test_accuracy": round(accuracy, DECIMALS),
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
        if variant.group:
            found = difference(correct_sn, correct["base"], deviation)
            half = found.half_width(level, degrees)
            ends = [round(found.points + sign * half, DECIMALS - 2) for sign in (-1, 1)]
            row |= {"group": variant.group, "points": round(found.points, DECIMALS - 2)}
            row |= {"points_low": ends[0], "points_high": ends[1], "standard_error": round(found.error, DECIMALS - 2)}
            row |= {"standard_error_of_images": round(found.images, DECIMALS - 2)}
            row |= {"standard_error_of_seeds": None if found.seeds is None else round(found.seeds, DECIMALS - 2)}
        return row

    rows = [described(variant) for variant in whole.changes if there[variant.name]]
    groups = list(dict.fromkeys(variant.group for variant in whole.changes))
    return {
        "kind": "ablation",
        "ablation": whole.name,
        "commit": git(repository_root(), "rev-parse", "HEAD"),
        "data": read_source(Path(content["data"]["source"])).name,
        "test_images": len(first.correct_n),
        "confidence": level,
        "seed_deviation": None if deviation is None else round(100 * deviation, DECIMALS - 2),
        "seed_degrees_of_freedom": degrees,
        "base": described(whole.base),
        "changes": sorted(rows, key=lambda row: (groups.index(row["group"]), -row["points"], row["name"])),
        "missing": [variant.name for variant in whole.changes if not there[variant.name]],
        "params": content,
        "trained_on": platforms(first.experiment),
        "machine": {"cpu": cpu_info()["model"], "cores": cpu_cores(), "python": platform.python_version()},
        "packages": {name: version for name, version in installed_packages().items() if name in PACKAGES},
    }


def platforms(experiment: Experiment) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="cct-ablation-") as folder:
        fetch_files(repository_root(), experiment.commit, [str(paths.MODEL)], Path(folder))
        return trained_on(Path(folder, paths.MODEL))
