"""Models for images of the model of `brightness`: with attention, and with outputs that are not finite."""

import shutil
from pathlib import Path

import keras
import numpy as np
from brightness import FACTS

from cct.cli import main
from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.build import build_model
from cct.models.saving import save_model


def attention_model(path: Path, *, seed: int = 0) -> Path:
    """Images (8, 6, 3), two classes, and 4 x 3 tokens in two layers.

    All weights but those of the head are random. The second class is more probable than the first by 0.05 to 0.42.
    """
    keras.utils.set_random_seed(seed)
    params = ModelParams(name="cct_2_3x2", embed_dim=16, num_conv_layers=1)
    model = build_model(resolve_architecture(params), image_shape=(8, 6, 3), classes=2)
    # A normalized token of 16 numbers, and so a mean of such tokens, has a norm of at most 4. This column has the norm
    # 0.2. With the bias of 1 the second logit is thus from 0.2 to 1.8, and the first one is 0.
    column_d = 0.05 * (-1.0) ** np.arange(16)
    model.get_layer("head").set_weights([np.stack([0 * column_d, column_d], axis=1), np.array([0.0, 1.0])])
    save_model(model, path, facts=FACTS)
    return path


def overflowing_model(path: Path) -> Path:
    """Images (8, 6, 3), two classes. The logits are infinite where the mean of all pixels is above 197.

    float32 ends at exp(88.7), and the exponent is 0.15 times the sum of the three channels' means.
    """
    images = keras.Input((8, 6, 3), dtype="uint8")
    means = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(0.15)(images))
    logits = keras.layers.Dense(2, kernel_initializer="ones", activation="exponential")(means)
    save_model(keras.Model(images, logits), path, facts=FACTS)
    return path


def exported(model: Path) -> Path:
    """The ONNX file beside a `.keras` file, which `cct export` makes."""
    assert main(["export", "--model", str(model), "--format", "onnx"]) == 0
    return model.with_suffix(".onnx")


def copied(model: Path, folder: Path) -> Path:
    """A model's file in another folder."""
    return Path(shutil.copyfile(model, folder / model.name))
