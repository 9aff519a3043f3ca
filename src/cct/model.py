"""Models from raw uint8 pictures to logits: built from an architecture, saved, loaded, applied."""

import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from cct.errors import CCTError
from cct.files import write_atomically
from cct.layers import (
    ClassToken,
    ConvTokenizer,
    EncoderBlock,
    FirstToken,
    PatchTokenizer,
    Positions,
    SequencePool,
    Standardize,
    dense,
)
from cct.machine import ORIGIN
from cct.variants import Architecture, grid


def build(
    architecture: Architecture,
    *,
    image_shape: tuple[int, int, int],
    classes: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> keras.Model:
    """Build the model.

    Args:
        architecture: see `cct.variants.resolve`.
        image_shape: height, width, channels.
        classes: number of logits.
        mean: of each channel over the training split, in units of 0..1; none is 0.
        std: likewise; none is 1.

    Returns:
        A functional model from uint8 (b, h, w, c) to float32 logits (b, classes).

    Raises:
        ValueError: the pictures are too small for the convolutions.
    """
    a = architecture
    grid(a, *image_shape[:2])  # refuses what does not fit, in words
    channels = image_shape[2]
    if not a.standardize or mean is None or std is None:
        mean, std = [0.0] * channels, [1.0] * channels
    images = keras.Input(image_shape, dtype="uint8", name="images")
    x = Standardize(list(mean), list(std), name="standardize")(images)
    if a.tokenizer == "patches":
        x = PatchTokenizer(a.width, a.patch, initialization=a.initialization, name="tokenizer")(x)
    else:
        x = ConvTokenizer(
            [a.convolution_width] * (a.convolutions - 1) + [a.width],
            kernel=a.kernel,
            stride=a.stride,
            padding=a.convolution_padding,
            use_bias=a.convolution_bias,
            initialization=a.initialization,
            name="tokenizer",
        )(x)
    if a.pooling == "class_token":
        x = ClassToken(name="class_token")(x)
    if a.positions != "none":
        x = Positions(a.positions, initialization=a.initialization, name="positions")(x)
    if a.dropout and a.dropout_places == "all":
        x = keras.layers.Dropout(a.dropout, name="dropout")(x)
    for i, rate in enumerate(np.linspace(0, a.stochastic_depth, a.layers)):
        x = EncoderBlock(
            a.heads,
            a.head_width,
            int(a.width * a.mlp_ratio),
            norm=a.norm,
            mlp=a.mlp,
            qkv_bias=a.qkv_bias,
            dropout=a.dropout,
            projection_dropout=a.dropout if a.dropout_places == "all" else 0.0,
            attention_dropout=a.attention_dropout,
            stochastic_depth=float(rate),
            epsilon=a.epsilon,
            initialization=a.initialization,
            name=f"encoder_{i}",
        )(x)
    x = keras.layers.LayerNormalization(epsilon=a.epsilon, name="norm")(x)
    if a.pooling == "sequence":
        x = SequencePool(initialization=a.initialization, name="pool")(x)
    else:
        x = (FirstToken if a.pooling == "class_token" else keras.layers.GlobalAveragePooling1D)(name="pool")(x)
    # The head stays in float32: a softmax over rounded logits loses what mixed precision was meant to keep.
    logits = dense(classes, initialization=a.initialization, dtype="float32", name="head")(x)
    return keras.Model(images, logits, name="cct")


def predict(model: keras.Model, images_nhwc: np.ndarray, *, batch_size: int) -> np.ndarray:
    """Logits of (n, classes), float32."""
    parts = [
        ops.convert_to_numpy(model.predict_on_batch(np.asarray(images_nhwc[i : i + batch_size])))
        for i in range(0, len(images_nhwc), batch_size)
    ]
    return np.concatenate(parts)


def save(model: keras.Model, path: Path, *, origin: Any = None) -> None:
    """Write a `.keras` file, atomically, whose bytes depend on the function and `origin` alone.

    Keras puts the date into the metadata and the zip, and Python's `id()` into the configuration; the rest of the file
    is a function of the model. The optimizer is left out: the file is for prediction.

    Args:
        origin: what JSON can hold, kept in the file's metadata, where Keras does not look.
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
                    value = _undated(json.loads(content))
                    if name == "metadata.json" and origin is not None:
                        value[ORIGIN] = origin
                    content = json.dumps(value, sort_keys=True).encode()
                target.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    write_atomically(path, undated.getbuffer())


def load(path: Path) -> keras.Model:
    """Read a model that `save` wrote, with Keras's safe mode on: nothing in the file is executed.

    Raises:
        CCTError: it is absent or not such a file.
    """
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise CCTError(f"{path} is not a model of this project: {str(error).splitlines()[0]}") from error


def _undated(value):
    if isinstance(value, dict):
        return {
            key: "" if key == "date_saved" else _undated(item)
            for key, item in value.items()
            if key != "shared_object_id"
        }
    return [_undated(item) for item in value] if isinstance(value, list) else value
