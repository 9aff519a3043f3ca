"""Compact Convolutional Transformers as a reproducible pipeline (see README.md)."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cct.inference.classifier import Classifier

__version__ = "0.2.0"


def load(model: "str | os.PathLike[str]") -> "Classifier":
    """Load a trained model, in any folder.

    Args:
        model: a `.keras` file that the pipeline trained; an `.onnx` or `.tflite` file or a SavedModel folder that
            `cct export` wrote; or in MLflow models:/NAME@ALIAS or runs:/RUN_ID/model.

    Raises:
        cct.errors.CCTError: there is no such model, or the library that it needs is not installed.
    """
    from cct.inference.classifier import Classifier
    from cct.tracking.model_files import model_file

    with model_file(os.fspath(model)) as path:
        return Classifier(path)
