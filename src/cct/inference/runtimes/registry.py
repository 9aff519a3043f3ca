"""The runtimes by the suffix of a model's file. To add one, write a module with its class, and an entry here."""

import importlib
from pathlib import Path

from cct.errors import CCTError
from cct.inference.runtimes.base import Runtime

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
    return getattr(importlib.import_module(module), name)(path)
