"""The interface between a classifier and the library that computes it."""

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cct.errors import CCTError
from cct.evaluation.softmax import MetricsError, softmax
from cct.inference.exported import ExportFacts
from cct.models.cost import inputs_at_once
from cct.models.metadata import ModelMetadata

BATCH = 128  # small inputs that an exported model takes at a time: its memory grows with them
ZIP = b"PK\x03\x04"
LARGEST = 2**31 - 1  # bytes of a file that ONNX and LiteRT can hold


class Runtime(Protocol):
    """An opened model.

    Attributes:
        title: the name of the library that computes it, for people.
        metadata: the facts in its file about the model.
        facts: the facts in an exported file about its export; None for a `.keras` file.
        input_shape: the shape of one input, without the batch.
        outputs: the number of outputs, k.
        model: the Keras model, from arrays to logits; None for an exported file.
        lock: whoever computes with `model` holds it.
    """

    title: str
    metadata: ModelMetadata
    facts: ExportFacts | None
    input_shape: tuple[int, ...]
    outputs: int
    model: Any

    def probabilities(self, arrays: np.ndarray) -> np.ndarray:
        """Calibrated probabilities (n, k), float64, for the model's inputs (n, ...). Several threads may call it."""


class ExportedModel(ABC):
    """A file that `cct export` made, opened by the library of its format. Each format has a subclass.

    Attributes: as `Runtime`, and
        path: the file, which messages name.
    """

    title: str
    model = None
    input_shape: tuple[int, ...]
    outputs: int

    def __init__(self, path: Path, facts: ExportFacts) -> None:
        self.path, self.facts, self.metadata = path, facts, facts.model

    @abstractmethod
    def compute(self, batch: np.ndarray) -> np.ndarray:
        """Probabilities (b, k), float32, for inputs (b, ...), all at once. Several threads may call it."""

    def probabilities(self, arrays: np.ndarray) -> np.ndarray:
        """As `Runtime.probabilities`."""
        return self.in_batches(arrays, size=inputs_at_once(arrays.shape[1:], most=BATCH))

    def in_batches(self, arrays: np.ndarray, *, size: int) -> np.ndarray:
        """As `probabilities`, of `size` inputs at a time.

        Raises:
            MetricsError: a probability is not a number.
        """
        parts = [self.compute(np.ascontiguousarray(arrays[i : i + size])) for i in range(0, len(arrays), size)]
        given_nk = np.concatenate([np.zeros((0, self.outputs), np.float32), *parts]).astype(np.float64)
        if bad := int((~np.isfinite(given_nk)).any(axis=1).sum()):
            precision = self.facts.precision
            # `cct export` compares a float32 file with Keras, so the model itself has such outputs.
            remedy = (
                "train the model again with a lower learning rate"
                if precision == "float32"
                else "export the .keras file in float32"
            )
            raise MetricsError(
                f"{self.path} in {precision} gives infinite or undefined outputs for {bad} of {len(given_nk)} inputs: "
                f"{remedy}"
            )
        # The softmax of logarithms divides by the sum, which is one only as far as float32 goes.
        return softmax(np.log(np.maximum(given_nk, np.finfo(np.float64).tiny)))


def require_package(module: str, package: str, path: Path) -> Any:
    """Import the library that a model's file needs.

    Raises:
        CCTError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CCTError(
            f"{path} needs {package}, which is not installed: make setup brings it, or install this project with its "
            "extra export: pip install '.[export]'"
        ) from error


def read_model_file(path: Path) -> bytes:
    """The bytes of a model's file.

    Raises:
        CCTError: it is absent, no plain file, a zip archive, or larger than any exported model.
    """
    if path.exists() and not path.is_file():
        raise CCTError(f"{path} is not a plain file, and an exported model is one: check the path")
    if not path.exists():
        raise CCTError(f"{path} is not there: make it with cct export, or check the path")
    if path.stat().st_size > LARGEST:
        raise CCTError(f"{path} has more than {LARGEST:,} bytes, which no exported model has: check the path")
    content = path.read_bytes()
    if content.startswith(ZIP):
        raise CCTError(f"{path} is a zip archive, as .keras files are, and no exported model: give it its own suffix")
    return content
