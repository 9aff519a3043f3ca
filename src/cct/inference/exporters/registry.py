"""The formats by name. To add one, write a module with its function and an entry in `EXPORTERS`."""

import contextlib
import importlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cct.errors import CCTError, one_line
from cct.inference.exporters.base import PRECISIONS, ExportError, ExportJob
from cct.inference.runtimes.registry import RUNTIMES
from cct.inference.runtimes.saved_model import GRAPH


class Exporter(NamedTuple):
    """A format.

    Attributes:
        name: as the user writes it.
        library: converts the model; messages name it.
        function: "module:name" of the function that writes it, which is imported only where it is used.
        file: the name of its file or folder beside `model.keras`; "{stem}" is "model".
        precisions: those of its weights.
    """

    name: str
    library: str
    function: str
    file: str
    precisions: tuple[str, ...]

    def path(self, model: Path, precision: str) -> Path:
        """Where the export of a `.keras` file goes, beside it."""
        path = model.with_name(self.file.format(stem=model.stem))
        return path if precision == PRECISIONS[0] else path.with_suffix(f".{precision}{path.suffix}")

    @property
    def is_folder(self) -> bool:
        """Whether an export is a folder, which may have any name."""
        return Path(self.file).suffix not in RUNTIMES

    def write(self, job: ExportJob) -> None:
        """Write the file.

        Raises:
            CCTError: the format cannot hold the model, its library fails, or a library is missing.
            OSError: the file cannot be written.
        """
        module, _, name = self.function.partition(":")
        function = getattr(importlib.import_module(module), name)
        with _silent():
            try:
                function(job)
            except (CCTError, OSError):  # a full disk is no failure of the library
                raise
            except Exception as error:  # each converter has its own, and some are not public
                raise ExportError(
                    f"{self.library} cannot convert this model to {self.name}: {one_line(error)}"
                ) from error


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
    one.name: one
    for one in (
        Exporter(
            name="onnx",
            library="tf2onnx with ONNX Runtime",
            function="cct.inference.exporters.onnx_format:export_onnx",
            file="{stem}.onnx",
            precisions=PRECISIONS,
        ),
        Exporter(
            name="litert",
            library="TensorFlow",
            function="cct.inference.exporters.litert_format:export_litert",
            file="{stem}.tflite",  # Keras and TensorFlow take no other suffix
            precisions=PRECISIONS,
        ),
        Exporter(
            name="saved_model",
            library="TensorFlow",
            function="cct.inference.exporters.saved_model_format:export_saved_model",
            file="{stem}.savedmodel",
            precisions=PRECISIONS[:1],
        ),
    )
}


def require_precision(format_name: str, precision: str) -> None:
    """Refuse a precision that a format does not have.

    Raises:
        ExportError: it has not; the message lists those that it has.
    """
    allowed = EXPORTERS[format_name].precisions
    if precision not in allowed:
        raise ExportError(f"the format {format_name} has no precision {precision}: it has {', '.join(allowed)}")


def require_replaceable(format_name: str, out: Path) -> None:
    """Refuse a path where something else than an earlier export in this format is.

    Raises:
        ExportError: replacing it would lose it.
    """
    is_export = (out / GRAPH).is_file() if EXPORTERS[format_name].is_folder else not out.is_dir()
    if os.path.lexists(out) and not is_export:
        raise ExportError(
            f"{out} is there, and is no earlier export in the format {format_name}: move it away, or give another --out"
        )
