"""The function that is exported: from raw inputs to calibrated probabilities, in float32."""

from pathlib import Path
from typing import Any

import keras

from cct.models.metadata import ModelMetadata
from cct.models.saving import load_model

OUTPUT = "probabilities"


def probability_model(path: Path, metadata: ModelMetadata) -> keras.Model:
    """The model of a `.keras` file with its calibration: from inputs (b, ...) to probabilities (b, k), float32.

    It computes in float32, also where the training had mixed precision: the weights are float32 in both.

    Raises:
        CCTError: the file is no model of this project.
    """
    model = in_float32(load_model(path))
    (logits_bk,) = model.outputs
    scaled_bk = keras.layers.Rescaling(1 / metadata.temperature, dtype="float32", name="temperature")(logits_bk)
    return keras.Model(model.inputs, keras.layers.Softmax(dtype="float32", name=OUTPUT)(scaled_bk), name="cct")


def in_float32(model: keras.Model) -> keras.Model:
    """The same model, computed in float32. A model that computes so is returned as it is."""
    config = model.get_config()
    changed = _with_float32(config)
    if changed == config:
        return model
    copy = type(model).from_config(changed)
    copy.set_weights(model.get_weights())
    return copy


def _with_float32(value: Any) -> Any:
    """A serialized model whose layers all have Keras's policy float32."""
    if isinstance(value, dict):
        if value.get("class_name") == "DTypePolicy":
            return value | {"config": {"name": "float32"}}
        return {key: _with_float32(item) for key, item in value.items()}
    return [_with_float32(item) for item in value] if isinstance(value, list) else value
