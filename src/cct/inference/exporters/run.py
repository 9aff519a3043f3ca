"""Exports a `.keras` file: reads what is needed, writes the files, compares them, and makes the report."""

import logging
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import cct
from cct.data.store import META, read_meta, read_split
from cct.errors import CCTError
from cct.files import sha256_of_file
from cct.inference.exported import ExportFacts
from cct.inference.exporters.base import CALIBRATION_INPUTS, ExportError, ExportJob
from cct.inference.exporters.comparison import Reference, accuracy, compare, latencies, size_of
from cct.inference.exporters.registry import EXPORTERS, require_replaceable
from cct.inference.exporters.replacing import replacing
from cct.models.metadata import ModelMetadata, model_metadata
from cct.runtime.backend import import_keras
from cct.runtime.machine import cpu_cores, cpu_info
from cct.tasks.inference import INFERENCE_TASKS, InputReader
from cct.tasks.lookup import task_of

log = logging.getLogger(__name__)

RANDOM = "the export is compared with Keras on random inputs only, unless --data names the model's processed arrays"
RANDOM_INPUTS = 256
LIBRARIES = ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert")


class Data(NamedTuple):
    """The processed arrays of the data that trained a model."""

    folder: Path
    meta: dict[str, Any]


def find_data(folder: Path, metadata: ModelMetadata, *, named: bool) -> Data | None:
    """The data that trained a model, if a folder has them.

    Args:
        folder: as `preprocess` writes it.
        metadata: the model's.
        named: whether the user named the folder, so that other data are a mistake.

    Raises:
        CCTError: a named folder has no data, or those of another model.
    """
    if not named and not (folder / META).is_file():
        log.info("%s is not there: %s", folder, RANDOM)
        return None
    if not (folder / META).is_file():
        raise ExportError(
            f"--data {folder}: it has no {META}, so it is no folder as data/processed, of processed arrays"
        )
    meta = read_meta(folder)
    if meta.get("digest") == metadata.data.get("digest"):
        return Data(folder, meta)
    what = f"{folder} has the data {meta.get('name')!r}, and the model was trained on {metadata.data.get('name')!r}"
    if named:
        raise ExportError(f"{what} or on another version of them: give --data the folder of its own data")
    log.info("%s: %s", what, RANDOM)
    return None


def use_tensorflow() -> None:
    """Choose TensorFlow on the processor. Keras writes no LiteRT from JAX, and no free size of the batch from PyTorch.

    Raises:
        CCTError: this process has Keras on another backend already.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever trained the model
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import_keras("tensorflow")
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"Keras runs on {keras.backend.backend()} in this process, and exports from TensorFlow: use the command "
            "cct export"
        )


def export_model(
    path: Path,
    wanted: Sequence[tuple[str, str, Path]],
    *,
    data: Data | None,
    done: Callable[[str, dict[str, Any]], None],
) -> tuple[dict[str, Any], Exception | None]:
    """Write a model in other formats, and compare each file with Keras.

    Args:
        path: a `.keras` file that the pipeline trained.
        wanted: format, precision and path of each file.
        data: the processed arrays of its training; None compares on random inputs.
        done: called with the name of each row of the report and the row, as soon as it is known.

    Returns:
        The report: model, data, machine, versions, and rows by name: keras, onnx_float32 and so on. Then the error that
        ended the work, or None: a format cannot hold the model, in float32 a file gives other labels than Keras, or
        int8 finds no examples. The report has the files before it, and an earlier export in its place stays.

    Raises:
        CCTError: nothing can be written, such as over something else than an earlier export, or in int8 without data.
    """
    for format_name, precision, out in wanted:
        require_replaceable(format_name, out)
        if precision == "int8":
            _require_examples(data, format_name)
    metadata, sha256 = model_metadata(path), sha256_of_file(path)
    use_tensorflow()
    from cct.inference.exporters.graph import probability_model
    from cct.inference.runtimes.keras_model import KerasModel

    model = probability_model(path, metadata)
    reader = task_of({"task": metadata.task}, INFERENCE_TASKS, where=path).reader(metadata.input, path)
    reference = _reference(model, data, reader)
    trained = KerasModel(path)
    answers_nk = trained.probabilities(reference.inputs)
    rows = {
        "keras": {
            "file": path.name,
            "bytes": size_of(path),
            "accuracy": accuracy(answers_nk, reference.labels),
            **latencies(trained, reference.inputs),
        }
    }
    done("keras", rows["keras"])
    failed = None
    for format_name, precision, out in wanted:
        facts = ExportFacts(model=metadata, model_sha256=sha256, precision=precision, version=cct.__version__)
        name = f"{format_name}_{precision}"
        try:
            samples = _samples(data) if precision == "int8" else reference.inputs[:0]
            with replacing(out) as new:  # so that nobody serves a wrong file
                EXPORTERS[format_name].write(ExportJob(model, facts, samples, new))
                row = compare(new, reference, precision=precision)
        except (CCTError, OSError) as error:
            failed = error
            break
        rows[name] = row
        done(name, row)
    report = {
        "model": {"file": path.name, "sha256": sha256, "trained_on": metadata.trained_on[-1]},
        "data": {"name": data.meta["name"], "digest": data.meta["digest"], "examples": len(reference.inputs)}
        if data
        else None,
        "machine": {"cpu": cpu_info()["model"], "cores": cpu_cores(), "python": platform.python_version()},
        "versions": library_versions(),
        "rows": rows,
    }
    return report, failed


def _reference(model: Any, data: Data | None, reader: InputReader) -> Reference:
    """The probabilities of the Keras model in float32.

    Raises:
        ExportError: the test split has no example.
    """
    from cct.models.saving import predict_logits

    if data:
        inputs, labels = read_split(data.folder, "test")
        if not len(inputs):
            raise ExportError(f"{data.folder}: its test split is empty, so nothing can be compared: check the archive")
    else:
        inputs, labels = reader.random(RANDOM_INPUTS), None
    # `predict_logits` returns the outputs of any model; of this one they are probabilities.
    return Reference(inputs, labels, predict_logits(model, inputs, batch_size=128).astype(np.float64))


def _require_examples(data: Data | None, format_name: str) -> None:
    """Refuse int8 without data."""
    if not data:
        raise ExportError(
            f"{format_name} in int8 needs examples of the train split, to know the ranges of its numbers: run dvc "
            "repro preprocess, or give --data"
        )


def _samples(data: Data) -> np.ndarray:
    """Inputs of the train split, at even distances."""
    inputs, _ = read_split(data.folder, "train")
    places = np.linspace(0, len(inputs) - 1, min(len(inputs), CALIBRATION_INPUTS)).astype(int)
    return np.asarray(inputs[places])


def library_versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
