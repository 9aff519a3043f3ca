"""Builds a model of images, from raw uint8 images to logits. All behind the tokenizer is also that of texts."""

from collections.abc import Sequence

import keras
import numpy as np

from cct.models.architectures import Architecture
from cct.models.cost import token_grid
from cct.models.fields import Encoder
from cct.models.layers.base import dense
from cct.models.layers.encoder import EncoderBlock
from cct.models.layers.equivariant import BothViews, MeanOfViews
from cct.models.layers.fast import Dropout, LayerNorm
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
        mean: mean of each channel over the training split, in units of 0..1.
        std: standard deviation of each channel, in the same units. If one of the two is None, or the architecture does
            not standardize, the mean is 0 and the standard deviation is 1.

    Returns:
        A functional model from uint8 (b, h, w, c) to float32 logits (b, classes).

    Raises:
        ModelError: the images are too small for the convolutions, or patches do not fill them.
    """
    a = architecture
    *_, (_, columns) = token_grid(a, *image_shape[:2])  # raises ModelError if the images do not fit
    channels = image_shape[2]
    if not a.standardize or mean is None or std is None:
        mean, std = [0.0] * channels, [1.0] * channels
    images = keras.Input(image_shape, dtype="uint8", name="images")
    x = Standardize(list(mean), list(std), name="standardize")(images)
    x = TOKENIZERS[a.tokenizer](a)(x)
    if a.flip_invariant:
        x = BothViews(columns, name="both_views")(x)
    logits = classify(a, x, classes=classes)
    if a.flip_invariant:
        logits = MeanOfViews(dtype="float32", name="mean_of_views")(logits)
    return keras.Model(images, logits, name="cct")


def classify(a: Encoder, x, valid=None, *, classes: int):
    """Logits (b, classes) of tokens (b, n, d): positions, encoder, pooling and head.

    Args:
        a: the architecture.
        x: the tokens.
        valid: whether each token counts, (b, n). None: all do, and no layer gets a mask.
        classes: number of logits.
    """
    if a.pooling == "class_token":
        x, valid = _with_mask(ClassToken(name="class_token"), x, valid)
    if a.positional_embedding != "none":
        x = PositionalEmbedding(a.positional_embedding, initialization=a.initialization, name="positional_embedding")(x)
    if a.dropout and a.dropout_places == "all":
        x = Dropout(a.dropout, name="dropout")(x)
    for i, rate in enumerate(np.linspace(0, a.stochastic_depth, a.num_layers)):
        block = _encoder_block(a, stochastic_depth=float(rate), name=f"encoder_{i}")
        x = block(x) if valid is None else block(x, valid)
    x = LayerNorm(epsilon=a.layer_norm_epsilon, name="norm")(x)
    x = POOLINGS[a.pooling](a, x, valid)
    # The head stays in float32: a softmax over 16-bit logits loses the accuracy that mixed precision should keep.
    return dense(classes, initialization=a.initialization, dtype="float32", name="head")(x)


def _with_mask(layer: keras.Layer, x, valid):
    return (layer(x), None) if valid is None else layer(x, valid)


def _patch_tokenizer(a: Architecture) -> keras.Layer:
    return PatchTokenizer(a.embed_dim, a.patch_size, initialization=a.initialization, name="tokenizer")


def _conv_tokenizer(a: Architecture) -> keras.Layer:
    return ConvTokenizer(
        [*a.conv_channels, a.embed_dim],
        pool_after=a.pool_after,
        kernel_size=a.kernel_size,
        stride=a.stride,
        padding=a.conv_padding,
        use_bias=a.conv_bias,
        norm=a.conv_norm,
        flip_equivariant=a.flip_invariant,
        initialization=a.initialization,
        name="tokenizer",
    )


def _encoder_block(a: Encoder, *, stochastic_depth: float, name: str) -> keras.Layer:
    return EncoderBlock(
        a.num_heads,
        a.head_dim,
        a.hidden_dim,
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


def _sequence_pool(a: Encoder, x, valid):
    pool = SequencePool(initialization=a.initialization, name="pool")
    return pool(x) if valid is None else pool(x, valid)


def _first_token(a: Encoder, x, valid):
    return FirstToken(name="pool")(x)


def _mean(a: Encoder, x, valid):
    # A text without any word would be 0 / 0. There is none: `cct.data.texts` makes it one unknown word.
    pool = keras.layers.GlobalAveragePooling1D(name="pool")
    return pool(x) if valid is None else pool(x, mask=valid)


TOKENIZERS = {"conv": _conv_tokenizer, "patch": _patch_tokenizer}
POOLINGS = {"sequence": _sequence_pool, "class_token": _first_token, "mean": _mean}
