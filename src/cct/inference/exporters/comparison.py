"""Compares an exported model with Keras: answers, accuracy, size and latency."""

import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cct.inference.exporters.base import ExportError
from cct.inference.runtimes.base import Runtime
from cct.inference.runtimes.registry import open_model

BATCHES = (1, 3, 257)  # each exported model takes them all
LATENCY_BATCHES = (1, 128)
# A difference of float32 that rounding explains. Where Keras's two best classes are closer, their order is chance.
TIE = 1e-5
LARGEST_DIFFERENCE = 1e-3  # of two probabilities in float32
LEAST_TURNS, MOST_SECONDS = 5, 3.0  # of a measurement of latency


class ComparisonError(ExportError):
    """An exported file does not compute what Keras does."""


class Reference(NamedTuple):
    """What Keras answers, and the images.

    Attributes:
        inputs: (n, ...), of the test split, or random where there is none.
        labels: true classes (n,); None of random inputs.
        probabilities: Keras's in float32, (n, k).
    """

    inputs: np.ndarray
    labels: np.ndarray | None
    probabilities: np.ndarray


def compare(path: Path, reference: Reference, *, precision: str) -> dict[str, Any]:
    """The row of an exported file in the report.

    Returns:
        file, bytes, largest_difference, labels_differ, ties, accuracy (None without labels), and the latencies.

    Raises:
        ComparisonError: the file takes no batch of another size, or in float32 its labels are not Keras's.
    """
    runtime = open_model(path)
    require_batches(runtime, reference.inputs, path)
    given_nk = runtime.probabilities(reference.inputs)
    differ_n = given_nk.argmax(axis=1) != reference.probabilities.argmax(axis=1)
    tie_n = differ_n & (margins(reference.probabilities) < TIE)
    row = {
        "file": path.name,
        "bytes": size_of(path),
        "largest_difference": float(np.abs(given_nk - reference.probabilities).max(initial=0)),
        "labels_differ": int(differ_n.sum()),
        "ties": int(tie_n.sum()),
        "accuracy": accuracy(given_nk, reference.labels),
        **latencies(runtime, reference.inputs),
    }
    wrong = int((differ_n & ~tie_n).sum())
    if precision == "float32" and (wrong or row["largest_difference"] > LARGEST_DIFFERENCE):
        raise ComparisonError(
            f"{path} does not compute what Keras does: {wrong} of {len(given_nk):,} labels differ, and probabilities "
            f"by up to {row['largest_difference']:.2g}. It is removed: report this model"
        )
    return row


def require_batches(runtime: Runtime, inputs: np.ndarray, path: Path) -> None:
    """Refuse an export whose answers depend on the size of the batch.

    Raises:
        ComparisonError: it takes no such batch, or answers otherwise.
    """
    some = np.resize(inputs, (max(BATCHES), *inputs.shape[1:]))
    whole = runtime.probabilities(some)
    for size in BATCHES:
        try:
            found = runtime.probabilities(some[:size])
        except Exception as error:  # each runtime has its own
            raise ComparisonError(f"{path} takes no batch of {size} inputs, and is removed: {error}") from error
        if found.shape != (size, runtime.outputs) or np.abs(found - whole[:size]).max() > LARGEST_DIFFERENCE:
            raise ComparisonError(
                f"{path} answers otherwise in a batch of {size} inputs, and is removed: report this model"
            )


def margins(probabilities_nk: np.ndarray) -> np.ndarray:
    """The distances between the two highest probabilities, (n,)."""
    if probabilities_nk.shape[1] < 2:
        return np.ones(len(probabilities_nk))
    two = np.partition(probabilities_nk, -2, axis=1)[:, -2:]
    return two[:, 1] - two[:, 0]


def accuracy(probabilities_nk: np.ndarray, labels_n: np.ndarray | None) -> float | None:
    """The share of right labels; None without true ones."""
    return None if labels_n is None else float((probabilities_nk.argmax(axis=1) == labels_n).mean())


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def latencies(runtime: Runtime, inputs: np.ndarray) -> dict[str, float]:
    """The median time of a call by batch size, in milliseconds: {"latency_1_ms": 1.2, ...}."""
    return {
        f"latency_{size}_ms": round(1000 * _median_seconds(runtime, np.resize(inputs, (size, *inputs.shape[1:]))), 3)
        for size in LATENCY_BATCHES
    }


def _median_seconds(runtime: Runtime, batch: np.ndarray) -> float:
    for _ in range(2):  # buffers are made and graphs are traced
        runtime.probabilities(batch)
    taken: list[float] = []
    while len(taken) < LEAST_TURNS or (sum(taken) < MOST_SECONDS and len(taken) < 100):
        start = time.perf_counter()
        runtime.probabilities(batch)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)
