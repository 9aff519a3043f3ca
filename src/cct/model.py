"""From an architecture to a Keras model that takes raw uint8 pictures and returns logits."""

from collections.abc import Sequence

import keras
import numpy as np

from cct.layers import ConvTokenizer, EncoderBlock, Positions, SequencePool, Standardize, dense
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
    grid(a, image_shape[0], image_shape[1])  # refuses what is too small, in words
    channels = image_shape[2]
    if not a.standardize or mean is None or std is None:
        mean, std = [0.0] * channels, [1.0] * channels
    images = keras.Input(image_shape, dtype="uint8", name="images")
    x = Standardize(list(mean), list(std), name="standardize")(images)
    x = ConvTokenizer(
        [a.convolution_width] * (a.convolutions - 1) + [a.width],
        kernel=a.kernel,
        stride=a.stride,
        padding=a.convolution_padding,
        use_bias=a.convolution_bias,
        initialization=a.initialization,
        name="tokenizer",
    )(x)
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
    x = SequencePool(initialization=a.initialization, name="pool")(x)
    # The head stays in float32: a softmax over rounded logits loses what mixed precision was meant to keep.
    logits = dense(classes, initialization=a.initialization, dtype="float32", name="head")(x)
    return keras.Model(images, logits, name="cct")
