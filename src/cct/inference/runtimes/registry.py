"""The runtimes by the suffix of a model's file. To add one, write a module with its class, and an entry here."""

import importlib
import logging
import os
from pathlib import Path

from cct.errors import CCTError
from cct.files import sha256_of_file
from cct.inference.exported import ExportFacts
from cct.inference.runtimes.base import Runtime

log = logging.getLogger(__name__)

FOLDER = "folder"
# Names, not imports: each library is imported only where a file needs it.
RUNTIMES = {
    ".keras": "cct.inference.runtimes.keras_model:KerasModel",
    ".onnx": "cct.inference.runtimes.onnx_model:OnnxModel",
    ".tflite": "cct.inference.runtimes.litert_model:LiteRTModel",
    FOLDER: "cct.inference.runtimes.saved_model:SavedModel",
}


def open_model(path: Path) -> Runtime:
    """Open a model's file with the runtime for it.

    Raises:
        CCTError: no runtime takes such a file, its library is missing, or it is no model of this project.
    """
    kind = FOLDER if path.is_dir() else path.suffix.lower()
    if kind not in RUNTIMES:
        suffixes = ", ".join(name for name in RUNTIMES if name.startswith("."))
        raise CCTError(f"{path} is not a model of this project: its name must end in {suffixes}, or be a folder's")
    module, _, name = RUNTIMES[kind].partition(":")
    runtime = getattr(importlib.import_module(module), name)(path)
    if runtime.facts:
        _warn_of_other_model(path, runtime.facts)
    return runtime


def _warn_of_other_model(path: Path, facts: ExportFacts) -> None:
    """Say that the `.keras` file beside an exported file is not the one that it was made of."""
    whole = Path(os.path.abspath(path))  # a folder may be ".", which has no name
    stem = whole.stem.removesuffix(f".{facts.precision}")
    model = whole.with_name(f"{stem}.keras")
    if model.is_file() and sha256_of_file(model) != facts.model_sha256:
        log.warning(f"{path} was made of another {model.name} than the one beside it: cct export makes it again")
