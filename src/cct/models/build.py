"""Builds a model from its architecture. The model maps raw uint8 images to logits."""

from collections.abc import Sequence

import keras
import numpy as np

from cct.models.architectures import Architecture
from cct.models.cost import token_grid
from cct.models.layers.base import dense
from cct.models.layers.encoder import EncoderBlock
from cct.models.layers.tokenizers import ConvTokenizer, PatchTokenizer, Standardize
from cct.models.layers.tokens import ClassToken, FirstToken, PositionalEmbedding, SequencePool


def build_model(
    architecture: Architecture,
    *,
    image_shape: tuple[int, int, int],
    classes: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> keras.Model:
    """Build the model.

    Args:
        architecture: see `cct.models.architectures.resolve_architecture`.
        image_shape: height, width, channels.
        classes: number of logits.
        mean: mean of each channel over the training split, in units of 0..1. None: 0.
        std: standard deviation of each channel, in the same units. None: 1.

    Returns:
        A functional model from uint8 (b, h, w, c) to float32 logits (b, classes).

    Raises:
        ModelError: the images are too small for the convolutions, or patches do not fill them.
    """
    a = architecture
    token_grid(a, *image_shape[:2])  # raises ModelError if the images do not fit
    channels = image_shape[2]
    if not a.standardize or mean is None or std is None:
        mean, std = [0.0] * channels, [1.0] * channels
    images = keras.Input(image_shape, dtype="uint8", name="images")
    x = Standardize(list(mean), list(std), name="standardize")(images)
    x = TOKENIZERS[a.tokenizer](a)(x)
    if a.pooling == "class_token":
        x = ClassToken(name="class_token")(x)
    if a.positional_embedding != "none":
        x = PositionalEmbedding(a.positional_embedding, initialization=a.initialization, name="positional_embedding")(x)
    if a.dropout and a.dropout_places == "all":
        x = keras.layers.Dropout(a.dropout, name="dropout")(x)
    for i, rate in enumerate(np.linspace(0, a.stochastic_depth, a.num_layers)):
        x = _encoder_block(a, stochastic_depth=float(rate), name=f"encoder_{i}")(x)
    x = keras.layers.LayerNormalization(epsilon=a.layer_norm_epsilon, name="norm")(x)
    x = POOLINGS[a.pooling](a)(x)
    # The head stays in float32: a softmax over 16-bit logits loses the accuracy that mixed precision should keep.
    logits = dense(classes, initialization=a.initialization, dtype="float32", name="head")(x)
    return keras.Model(images, logits, name="cct")


def _patch_tokenizer(a: Architecture) -> keras.Layer:
    return PatchTokenizer(a.embed_dim, a.patch_size, initialization=a.initialization, name="tokenizer")


def _conv_tokenizer(a: Architecture) -> keras.Layer:
    return ConvTokenizer(
        [a.conv_channels] * (a.num_conv_layers - 1) + [a.embed_dim],
        kernel_size=a.kernel_size,
        stride=a.stride,
        padding=a.conv_padding,
        use_bias=a.conv_bias,
        initialization=a.initialization,
        name="tokenizer",
    )


def _encoder_block(a: Architecture, *, stochastic_depth: float, name: str) -> keras.Layer:
    return EncoderBlock(
        a.num_heads,
        a.head_dim,
        int(a.embed_dim * a.mlp_ratio),
        norm=a.norm,
        mlp_output=a.mlp_output,
        qkv_bias=a.qkv_bias,
        dropout=a.dropout,
        projection_dropout=a.dropout if a.dropout_places == "all" else 0.0,
        attention_dropout=a.attention_dropout,
        stochastic_depth=stochastic_depth,
        layer_norm_epsilon=a.layer_norm_epsilon,
        initialization=a.initialization,
        name=name,
    )


TOKENIZERS = {"conv": _conv_tokenizer, "patch": _patch_tokenizer}
POOLINGS = {
    "sequence": lambda a: SequencePool(initialization=a.initialization, name="pool"),
    "class_token": lambda a: FirstToken(name="pool"),
    "mean": lambda a: keras.layers.GlobalAveragePooling1D(name="pool"),
}
