"""Saves and loads models as `.keras` files, whose bytes depend on the model alone, and predicts logits."""

import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from cct.errors import CCTError
from cct.files import write_atomically
from cct.models import metadata
from cct.models.cost import inputs_at_once
from cct.models.layers import (  # noqa: F401 (Keras must know the layers in a file)
    encoder,
    equivariant,
    fast,
    tokenizers,
    tokens,
    words,
)

# A file may unpack to this many bytes, or to this many times its own size: weights cannot be compressed much.
UNPACKED_BYTES, UNPACKED_RATIO = 1 << 26, 10


def predict_logits(model: keras.Model, inputs: np.ndarray, *, batch_size: int) -> np.ndarray:
    """Logits (n, classes), float32, of images (n, h, w, c) or texts (n, length).

    The model takes `batch_size` of them at a time, or fewer where they are large.
    """
    batch_size = inputs_at_once(inputs.shape[1:], most=batch_size)
    parts = [np.zeros((0, model.output_shape[-1]), "float32")]
    parts += [
        ops.convert_to_numpy(model.predict_on_batch(np.asarray(inputs[i : i + batch_size])))
        for i in range(0, len(inputs), batch_size)
    ]
    return np.concatenate(parts)


def save_model(model: keras.Model, path: Path, *, facts: Mapping[str, Any] | None = None) -> None:
    """Write a `.keras` file atomically. Its bytes depend on the model and `facts` alone.

    Keras puts the date into the metadata and the zip, and Python's `id()` into the configuration. This function removes
    them; the rest depends on the model alone. The optimizer is left out, because the file is for prediction.

    Args:
        facts: JSON values for the file's metadata, which Keras ignores (`cct.models.metadata`).
    """
    bare = keras.Model(model.inputs, model.outputs, name=model.name)  # the same layers, not compiled
    undated = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        dated = Path(folder, "dated.keras")
        bare.save(dated)
        with zipfile.ZipFile(dated) as source, zipfile.ZipFile(undated, "w") as target:
            for name in sorted(source.namelist()):
                content = source.read(name)
                if name.endswith(".json"):
                    value = _without_dates(json.loads(content))
                    if name == "metadata.json" and facts is not None:
                        value[metadata.KEY] = facts
                    content = json.dumps(value, sort_keys=True).encode()
                target.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    write_atomically(path, undated.getbuffer())


def load_model(path: Path) -> keras.Model:
    """Read a model that `save_model` wrote. Keras's safe mode is on, so nothing in the file is executed.

    Raises:
        CCTError: the file is absent, or not such a model.
    """
    if not path.is_file():
        raise CCTError(f"{path} is not there: {metadata.ABSENT}")
    if not zipfile.is_zipfile(path):  # Keras would say that it is not there
        raise CCTError(f"{path} is not a model of this project: it is cut off, or no zip archive")
    if (bytes_ := _unpacked_bytes(path)) > max(UNPACKED_BYTES, UNPACKED_RATIO * path.stat().st_size):
        raise CCTError(f"{path} is not a model of this project: it unpacks to {bytes_:,} bytes, which no model does")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # any error that a crafted file causes in Keras
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise CCTError(f"{path} is not a model of this project: {reason}") from error


def _unpacked_bytes(path: Path) -> int:
    """The size of all files in an archive as its directory has it; 0 if it is not an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return 0  # Keras says what is wrong


def _without_dates(value):
    if isinstance(value, dict):
        return {
            key: "" if key == "date_saved" else _without_dates(item)
            for key, item in value.items()
            if key != "shared_object_id"
        }
    return [_without_dates(item) for item in value] if isinstance(value, list) else value
