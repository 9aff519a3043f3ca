"""The job of an exporter, and its error."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cct.errors import CCTError
from cct.inference.exported import ExportFacts

PRECISIONS = ("float32", "float16", "int8")
CALIBRATION_INPUTS = 256  # of the train split, which give the ranges of int8


class ExportError(CCTError):
    """A model cannot be written in a format."""


class ExportJob(NamedTuple):
    """One file to write.

    Attributes:
        model: the Keras model from inputs to probabilities, which computes in float32.
        facts: what the file says of itself; they name the precision.
        samples: inputs of the train split (n, ...), from which int8 gets its ranges. Empty for other precisions.
        out: the file or folder to write; nothing is there.
    """

    model: Any
    facts: ExportFacts
    samples: np.ndarray
    out: Path


def lacks_operators(format_name: str, names: set[str]) -> ExportError:
    """The error for a model with operators that a format does not have."""
    plural = "s" * (len(names) > 1)
    return ExportError(
        f"the format {format_name} has no operator for TensorFlow's {', '.join(sorted(names))}, which this model "
        f"needs: choose another format, or a model without the operator{plural}"
    )
