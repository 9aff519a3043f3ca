"""A model file whose answers are known."""

from pathlib import Path
from typing import Any

import keras

from cct.models.saving import save_model

CLASSES = ["dark", "bright"]
FACTS = {
    "task": "image_classification",
    "data": {"name": "made-up", "digest": "d" * 64},
    "classes": CLASSES,
    "input": {"shape": [8, 6, 3], "resize": "crop", "background": "white"},
    "temperature": 2.0,
    "set_thresholds": [1 - percent / 100 for percent in range(1, 100)],
    "trained_on": [{"backend": "tensorflow"}],
}


def brightness_model(path: Path, **facts: Any) -> Path:
    """A model of images (8, 6, 3) with the logits (0, mean of all pixels / 64 - 2)."""
    images = keras.Input((8, 6, 3), dtype="uint8")
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 64)(images))
    weights = [[[0.0, 1 / 3]] * 3, [0.0, -2.0]]
    head = keras.layers.Dense(2)
    model = keras.Model(images, head(mean))
    head.set_weights([keras.ops.convert_to_numpy(keras.ops.array(part)) for part in weights])
    save_model(model, path, facts=FACTS | facts)
    return path


def bright_probability(mean: float, temperature: float = 2.0) -> float:
    """The probability of "bright" that the model gives to an image of this mean."""
    import math

    return 1 / (1 + math.exp(-(mean / 64 - 2) / temperature))
