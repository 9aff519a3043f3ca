"""Models and inputs for the tests."""

import keras
import numpy as np

from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.build import build_model


def random_images(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def random_tokens(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def array(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


NORMALIZED = {
    "num_conv_layers": 3,
    "pool_after": [1, 3],
    "conv_norm": "batch",
}  # a block without pooling between others
FLIP = {**NORMALIZED, "flip_invariant": True}


def randomized_norms(model):
    """Scales, shifts and moving averages of all norms as a training might leave them: a new norm does nothing."""
    generator = np.random.default_rng(4)
    for variable in model.weights:
        if variable.path.endswith(("gamma", "moving_variance")):
            variable.assign(generator.uniform(0.5, 2, variable.shape).astype("float32"))
        elif variable.path.endswith(("beta", "moving_mean")):
            variable.assign(generator.normal(0, 0.5, variable.shape).astype("float32"))
    return model


def built(name: str, *, image_shape=(32, 32, 3), classes=10, **fields):
    return build_model(
        resolve_architecture(ModelParams(name=name, **fields)),
        image_shape=image_shape,
        classes=classes,
        mean=[0.5] * image_shape[2],
        std=[0.25] * image_shape[2],
    )
