"""Compares an exported model with Keras: probabilities, accuracy, size and latency."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cct.errors import one_line
from cct.evaluation.softmax import MetricsError
from cct.inference.exporters.base import ExportError
from cct.inference.runtimes.base import BATCH, ExportedModel, Runtime
from cct.inference.runtimes.registry import open_model
from cct.models.cost import inputs_at_once

LATENCY_BATCHES = (1, 128)
# A difference of float32 that rounding explains. Where Keras's two best classes are closer, their order is chance.
TIE = 1e-5
LARGEST_DIFFERENCE = 1e-3  # of two probabilities in float32
LEAST_TURNS, MOST_SECONDS = 5, 3.0  # of a measurement of latency


class Reference(NamedTuple):
    """The probabilities that Keras gives, and the inputs.

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
        ExportError: the file takes no batch of another size, or in float32 its labels are not Keras's.
        MetricsError: a probability is not a number.
    """
    runtime = open_model(path)
    require_batches(runtime, reference.inputs)
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
        raise ExportError(
            f"{path} does not compute what Keras does: {wrong} of {len(given_nk):,} labels differ, and probabilities "
            f"by up to {row['largest_difference']:.2g}. The new file is removed: report this model"
        )
    return row


def batch_sizes(shape: Sequence[int]) -> tuple[int, ...]:
    """The sizes of batches that each exported model must take at once, for inputs of this shape.

    The last one is above the size that `Runtime.probabilities` gives to a model.
    """
    return 1, 3, inputs_at_once(shape, most=BATCH) + 1


def require_batches(runtime: ExportedModel, inputs: np.ndarray) -> None:
    """Refuse an export whose probabilities depend on the size of the batch.

    Raises:
        ExportError: it takes no batch of one of `batch_sizes`, or gives other probabilities in it.
        MetricsError: a probability is not a number.
    """
    sizes = batch_sizes(inputs.shape[1:])
    some = repeated(inputs, max(sizes))
    expected_nk = _in_batches(runtime, some, sizes[-1] - 1)  # as `Runtime.probabilities` does
    for size in sizes:
        found_nk = _in_batches(runtime, some[:size], size)
        right_shape = found_nk.shape == (size, runtime.outputs)
        if not right_shape or np.abs(found_nk - expected_nk[:size]).max() > LARGEST_DIFFERENCE:
            raise ExportError(
                f"{runtime.path} gives other probabilities in a batch of {size} inputs. The new file is removed: "
                "report this model"
            )


def _in_batches(runtime: ExportedModel, inputs: np.ndarray, size: int) -> np.ndarray:
    try:
        return runtime.in_batches(inputs, size=size)
    except MetricsError:
        raise
    except Exception as error:  # each runtime has its own
        raise ExportError(
            f"{runtime.path} takes no batch of {size} inputs ({one_line(error)}). The new file is removed: report this "
            "model"
        ) from error


def repeated(inputs: np.ndarray, count: int) -> np.ndarray:
    """The first inputs, and again from the first one where there are fewer. Nothing else is read from a file."""
    return inputs[np.arange(count) % len(inputs)]


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
        f"latency_{size}_ms": round(1000 * _median_seconds(runtime, repeated(inputs, size)), 3)
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
