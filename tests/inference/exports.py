"""Exports of the model whose answers are known, and the data that could have trained it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from brightness import CLASSES, FACTS

import cct
from cct.files import sha256_of_file
from cct.inference.exported import ExportFacts
from cct.inference.exporters.base import ExportJob
from cct.inference.exporters.graph import probability_model
from cct.inference.exporters.registry import EXPORTERS
from cct.inference.exporters.replacing import replacing
from cct.models.metadata import model_metadata
from cct.models.saving import save_model

DIGEST = FACTS["data"]["digest"]


def export(keras_file: Path, format_name: str, *, out: Path | None = None, precision: str = "float32", samples=None):
    """Write an export beside a `.keras` file, or elsewhere. Returns its path."""
    metadata = model_metadata(keras_file)
    out = out or EXPORTERS[format_name].path(keras_file, precision)
    facts = ExportFacts(
        model=metadata, model_sha256=sha256_of_file(keras_file), precision=precision, version=cct.__version__
    )
    model = probability_model(keras_file, metadata)
    with replacing(out) as new:
        EXPORTERS[format_name].write(ExportJob(model, facts, samples, new))
    return out


def overflowing_model(path: Path) -> Path:
    """A model of images (8, 6, 3) that float16 cannot hold: pixels times 1000 are above its 65,504.

    ONNX Runtime computes single operators in float32. It moves the values of several in a row as float16.
    """
    images = keras.Input((8, 6, 3), dtype="uint8")
    moved = keras.layers.Reshape((48, 3))(keras.layers.Permute((2, 1, 3))(keras.layers.Rescaling(1000.0)(images)))
    head = keras.layers.Dense(2)
    model = keras.Model(images, head(keras.layers.GlobalAveragePooling1D()(moved)))
    head.set_weights([np.array([[0.0, 1e-6]] * 3), np.array([0.0, -0.3])])
    save_model(model, path, facts=FACTS)
    return path


def images_of(means: Any) -> np.ndarray:
    """Images (n, 8, 6, 3), each of one grey."""
    return np.broadcast_to(np.asarray(means, np.uint8)[:, None, None, None], (len(means), 8, 6, 3)).copy()


def write_data(folder: Path, *, test: Any, labels: Any, digest: str = DIGEST, name: str = "made-up") -> Path:
    """Processed arrays with these greys in the test split."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, means, own in (("train", np.arange(0, 250, 10), None), ("test", test, labels)):
        np.save(folder / f"{split}_inputs.npy", images_of(means))
        np.save(folder / f"{split}_labels.npy", np.zeros(len(means), np.uint8) if own is None else np.asarray(own))
    meta = {"task": "image_classification", "name": name, "digest": digest, "classes": CLASSES}
    meta |= {"image_shape": [8, 6, 3], "sha256": {}}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
