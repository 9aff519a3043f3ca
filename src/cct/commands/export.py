"""Write a trained model for ONNX Runtime, LiteRT or TensorFlow, and compare each file with Keras."""

import argparse
import logging
import os
from pathlib import Path

from cct.commands.arguments import add_model, model_name
from cct.errors import CCTError
from cct.inference.exporters.base import PRECISIONS, ExportError
from cct.inference.exporters.registry import EXPORTERS, require_precision

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "An exported file takes raw inputs in batches of any size, gives calibrated probabilities, and holds the names "
        "of the classes. cct predict --model and cct.load read it. The test split goes through Keras and through each "
        "file; the command fails if a float32 file gives another label."
    )
    add_model(parser, exported=False)
    parser.add_argument("--format", nargs="+", required=True, choices=list(EXPORTERS), help="one or more formats")
    parser.add_argument(
        "--precision", nargs="+", default=[PRECISIONS[0]], choices=PRECISIONS,
        help="of the weights, one or more; saved_model has float32 only (default: float32)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="PATH",
        help="the file to write (default: model.onnx, model.tflite or model.savedmodel/, beside the .keras file)",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="the processed arrays of the model's data (default: data/processed)"
    )


def main(arguments: argparse.Namespace) -> None:
    from cct.inference.exporters.report import HEADER, REPORT, line, metrics, write_report
    from cct.inference.exporters.run import export_model, find_data
    from cct.models.metadata import model_metadata
    from cct.paths import DVC_YAML, PROCESSED
    from cct.repository import repository_root
    from cct.tracking.model_files import model_file

    for format_name in arguments.format:
        for precision in arguments.precision:
            require_precision(format_name, precision)
    top, name = repository_root(), model_name(arguments)
    with model_file(name) as path:
        metadata = model_metadata(path)  # a mistake in it is said before anything is imported
        # A model from MLflow is in a temporary folder, so its exports go into the user's.
        beside = path if Path(name) == path else Path(path.name)
        wanted = _files(arguments, beside)
        data = find_data(arguments.data or top / PROCESSED, metadata, named=arguments.data is not None)
        print(HEADER)
        report, failed = export_model(path, wanted, data=data, done=lambda name, row: print(line(name, row)))
    # The first row is that of Keras. Files before one that failed are in their places, so they are reported.
    written = [out for _, _, out in wanted[: len(report["rows"]) - 1]]
    if written:
        log.info("wrote %s", ", ".join(os.path.relpath(out) for out in written))
        if (top / DVC_YAML).is_file():
            write_report(top / REPORT, report)
            _log(report["model"]["sha256"], metrics(report["rows"]), [*written, top / REPORT])
    if failed:
        raise failed


def _files(arguments: argparse.Namespace, beside: Path) -> list[tuple[str, str, Path]]:
    """Format, precision and path of each file.

    Raises:
        ExportError: --out does not fit them.
    """
    wanted = [
        (format_name, precision, EXPORTERS[format_name].path(beside, precision))
        for format_name in dict.fromkeys(arguments.format)
        for precision in dict.fromkeys(arguments.precision)
    ]
    if arguments.out is None:
        return wanted
    if len(wanted) > 1:
        raise ExportError(f"--out {arguments.out} is one file, and {len(wanted)} are to be written: omit it")
    ((format_name, precision, usual),) = wanted
    if not EXPORTERS[format_name].is_folder and arguments.out.suffix != usual.suffix:
        raise ExportError(f"--out {arguments.out}: the name of a file of {format_name} must end in {usual.suffix}")
    return [(format_name, precision, arguments.out)]


def _log(sha256: str, values: dict[str, float], files: list[Path]) -> None:
    """Log the export. That tracking fails is no failure of the export, but it is said."""
    from cct.tracking.exports import log_export

    try:
        log.info("%s", log_export(sha256, values, files))
    except CCTError as error:
        log.warning("%s", error)
