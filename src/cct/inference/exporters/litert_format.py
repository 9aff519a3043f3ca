"""LiteRT files, which TensorFlow Lite and its hardware delegates read: Keras's exporter, and TensorFlow's converter."""

import hashlib
import io
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cct.files import write_atomically
from cct.inference.exported import FACTS, LABELS
from cct.inference.exporters.base import ExportJob, lacks_operators
from cct.runtime.backend import quiet_library


def export_litert(job: ExportJob) -> None:
    """Write a `.tflite` file: a flatbuffer, and behind it a zip with class names and facts, as LiteRT's metadata has.

    Raises:
        ExportError: LiteRT has no operator for a part of the model.
    """
    import tensorflow as tf

    options = PRECISIONS[job.facts.precision](job.samples)
    # Only LiteRT's own operators: others would need TensorFlow beside the file.
    target = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]} | options.pop("target_spec", {})
    with tempfile.TemporaryDirectory(prefix="cct-export-") as folder:
        path = Path(folder, "model.tflite")
        if error := _convert(job, path, options | {"target_spec": target}):
            lacking = {*re.findall(r"'tf\.(\w+)' op is neither", str(error))}
            if lacking:
                raise lacks_operators("litert", lacking) from error
            raise error
        content = path.read_bytes()
    write_atomically(job.out, with_files(content, job))


def _convert(job: ExportJob, path: Path, options: dict[str, Any]) -> Exception | None:
    """Convert the model; the error is returned, so that the lines that TensorFlow writes about it are dropped."""
    with quiet_library():
        try:
            job.model.export(path, format="litert", verbose=False, **options)
        except Exception as error:  # the converter's own, whose class is not public
            return error
    return None


def with_files(content: bytes, job: ExportJob) -> bytes:
    """A flatbuffer with the files that belong to it, in a zip archive behind it."""
    facts = job.facts.model_copy(update={"content_sha256": hashlib.sha256(content).hexdigest()})
    whole = io.BytesIO(content)
    with zipfile.ZipFile(whole, "a") as archive:
        for name, text in ((LABELS, "\n".join(facts.model.classes) + "\n"), (FACTS, facts.model_dump_json())):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return whole.getvalue()


def _float32(samples: np.ndarray) -> dict[str, Any]:
    return {}


def _float16(samples: np.ndarray) -> dict[str, Any]:
    import tensorflow as tf

    return {"optimizations": [tf.lite.Optimize.DEFAULT], "target_spec": {"supported_types": [tf.float16]}}


def _int8(samples: np.ndarray) -> dict[str, Any]:
    import tensorflow as tf

    def batches() -> Iterator[list[np.ndarray]]:
        for sample in samples:
            yield [sample[None]]

    return {"optimizations": [tf.lite.Optimize.DEFAULT], "representative_dataset": batches}


PRECISIONS = {"float32": _float32, "float16": _float16, "int8": _int8}
