"""The formats by name. To add one, write a module with its function and an entry in `EXPORTERS`."""

import contextlib
import importlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cct.inference.exporters.base import PRECISIONS, ExportError, ExportJob


class Exporter(NamedTuple):
    """A format.

    Attributes:
        function: "module:name" of the function that writes it, which is imported only where it is used.
        file: the name of its file or folder beside `model.keras`; "{stem}" is "model".
        precisions: those of its weights.
    """

    function: str
    file: str
    precisions: tuple[str, ...]

    def path(self, model: Path, precision: str) -> Path:
        """Where the export of a `.keras` file goes, beside it."""
        path = model.with_name(self.file.format(stem=model.stem))
        return path if precision == PRECISIONS[0] else path.with_suffix(f".{precision}{path.suffix}")

    def write(self, job: ExportJob) -> None:
        """Write the file.

        Raises:
            CCTError: the format cannot hold the model, or a library is missing.
        """
        module, _, name = self.function.partition(":")
        with _silent():
            getattr(importlib.import_module(module), name)(job)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the lines that converters log, and without the handler that they give to all loggers."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # its exporter says which operator is missing
    root.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, of aliases that tf2onnx still has
            yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


EXPORTERS = {
    "onnx": Exporter("cct.inference.exporters.onnx_format:export_onnx", "{stem}.onnx", PRECISIONS),
    # Keras and TensorFlow call the format LiteRT, and take no other suffix.
    "litert": Exporter("cct.inference.exporters.litert_format:export_litert", "{stem}.tflite", PRECISIONS),
    "saved_model": Exporter(
        "cct.inference.exporters.saved_model_format:export_saved_model", "{stem}.savedmodel", PRECISIONS[:1]
    ),
}


def require_precision(format_name: str, precision: str) -> None:
    """Refuse a precision that a format does not have.

    Raises:
        ExportError: it has not; the message lists those that it has.
    """
    allowed = EXPORTERS[format_name].precisions
    if precision not in allowed:
        raise ExportError(f"the format {format_name} has no precision {precision}: it has {', '.join(allowed)}")
