"""The cost of a model: tokens, parameters and multiply-adds, counted without building the model."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel

from cct.models.architectures import ModelError, ModelParams, resolve_architecture
from cct.models.fields import Architecture, Encoder
from cct.models.names import CUSTOM, IMAGES, MODELS

# Published test accuracy in percent and epochs on the original CIFAR-10. Source: the paper; for the example, its page.
PUBLISHED = {
    "cct_2_3x2": (89.17, 200),
    "cct_4_3x2": (91.45, 200),
    "cct_6_3x1": (95.29, 500),
    "cct_6_3x2": (93.56, 200),
    "cct_7_3x1": (98.00, 5000),
    "cct_7_3x2": (93.83, 200),
    "cvt_6_4": (92.58, 200),
    "cvt_7_4": (92.43, 200),
    "vit_lite_6_4": (90.94, 200),
    "vit_lite_7_4": (91.38, 200),
    "vit": (78.22, 100),
    "keras_example": (77.61, 30),
}


# With more tokens, a training step on TensorFlow holds the attention weights of so many queries of an image at a time.
MANY_TOKENS, QUERIES_AT_ONCE = 512, 64
PLACES_AT_ONCE = 1 << 20  # pixels or words of the inputs that a model takes at a time outside of training


class Cost(BaseModel):
    """The cost of one example. `macs` counts multiply-adds with weights, as the paper does. `attention_macs` counts the
    products of queries, keys and values."""

    tokens: int
    macs: int
    attention_macs: int


def token_grid(architecture: Architecture, height: int, width: int) -> list[tuple[int, int]]:
    """Rows and columns of tokens: after each convolution and its pooling, in order, or of the patches.

    A convolution without pooling has its size twice.

    Raises:
        ModelError: the image is too small for the convolutions, or patches do not fill it.
    """
    a, image = architecture, f"{height}x{width}"
    if a.tokenizer == "patch":
        if height % a.patch_size or width % a.patch_size:
            sides = [side for side in range(2, min(height, width) + 1) if not (height % side or width % side)]
            fitting = f"set model.patch_size to {' or '.join(map(str, sides))}, or " if sides else ""
            raise ModelError(
                f"model: patches of {a.patch_size}x{a.patch_size} do not fill images of {image}: "
                f"{fitting}choose a model with convolutions, such as cct_2_3x2"
            )
        return [(height // a.patch_size, width // a.patch_size)]
    sizes = []
    margin = a.kernel_size // 2 if a.conv_padding == "same" else 0
    for block in range(a.num_conv_layers):
        height, width = ((side + 2 * margin - a.kernel_size) // a.stride + 1 for side in (height, width))
        sizes.append((height, width))
        # Pooling is 3x3 with stride 2 and one cell of padding on every side. The example adds "same" padding to that.
        if block + 1 in a.pool_after:
            height, width = (
                (side - 1) // 2 + 1 if a.conv_padding == "same" else (side + 3) // 2 for side in (height, width)
            )
        sizes.append((height, width))
        if min(sizes[-2]) < 1:
            raise ModelError(
                f"model: {a.num_conv_layers} convolutions of {a.kernel_size}x{a.kernel_size} "
                f"without padding leave nothing of an image this small: {image}; "
                "lower model.num_conv_layers or model.kernel_size, or choose a model with padding, such as cct_2_3x2"
            )
    return sizes


def model_cost(architecture: Architecture, *, height: int, width: int, channels: int, classes: int) -> Cost:
    """Tokens and multiply-adds for one image of `height` x `width` x `channels`.

    Raises:
        ModelError: as `token_grid`.
    """
    a = architecture
    sizes = token_grid(a, height, width)
    places = sizes[-1][0] * sizes[-1][1]
    if a.tokenizer == "patch":
        macs = places * a.patch_size**2 * channels * a.embed_dim
    else:
        kernels = _kernel_sizes(a, channels)
        macs = sum(rows * columns * kernel for (rows, columns), kernel in zip(sizes[::2], kernels, strict=True))
    spent = encoder_cost(a, places, classes=classes, tokenizer_macs=0)
    views = 1 + a.flip_invariant  # the encoder reads the tokens of the mirrored image too
    return Cost(tokens=spent.tokens, macs=macs + views * spent.macs, attention_macs=views * spent.attention_macs)


def _kernel_sizes(a: Architecture, channels: int) -> list[int]:
    """The number of weights of each convolution's kernel."""
    widths = [channels, *a.conv_channels, a.embed_dim]
    return [a.kernel_size**2 * inputs * outputs for inputs, outputs in itertools.pairwise(widths)]


def encoder_cost(a: Encoder, places: int, *, classes: int, tokenizer_macs: int) -> Cost:
    """The cost of one example whose tokenizer has made `places` tokens with so many multiply-adds."""
    tokens = places + (a.pooling == "class_token")
    inner, hidden = a.num_heads * a.head_dim, a.hidden_dim
    macs = a.num_layers * tokens * (a.embed_dim * inner * 4 + a.embed_dim * hidden * 2) + a.embed_dim * classes
    if a.pooling == "sequence":
        macs += tokens * a.embed_dim
    return Cost(tokens=tokens, macs=tokenizer_macs + macs, attention_macs=a.num_layers * 2 * tokens**2 * inner)


def training_memory(
    architecture: Architecture,
    *,
    height: int,
    width: int,
    channels: int,
    classes: int,
    batch_size: int,
    frozen_depths: int = 0,
    in_parts: bool = False,
) -> int:
    """Lower bound of a training's memory in float32, in bytes.

    It counts the weights and the best of them so far, and gradients and two moments of the trained weights. For each
    image in a batch it counts the attention weights, tokens and first convolution that the backward pass needs. Of a
    flip-invariant model, the encoder has the tokens of each image and of its mirror image.

    Args:
        frozen_depths: 0 if all is trained. The first is the tokenizer with positions, each further one an encoder
            layer. The backward pass needs nothing of them.
        in_parts: whether the backend never holds the attention weights of all of many tokens: TensorFlow.
    """
    a, size = architecture, {"height": height, "width": width, "channels": channels, "classes": classes}
    rows, columns = token_grid(a, height, width)[0]
    first = rows * columns * (a.conv_channels or [a.embed_dim])[0]
    return encoder_memory(
        a, _parameters(a, **size), first=first, tokens=model_cost(a, **size).tokens, batch_size=batch_size,
        frozen_depths=frozen_depths, in_parts=in_parts, views=1 + a.flip_invariant,
    )  # fmt: skip


class Parameters(NamedTuple):
    """The numbers of parameters: before the encoder, of each encoder layer, and after the encoder."""

    stem: int
    layer: int
    rest: int

    def total(self, num_layers: int) -> int:
        """Those of a model with so many encoder layers."""
        return self.stem + num_layers * self.layer + self.rest


def encoder_memory(
    a: Encoder,
    count: Parameters,
    *,
    first: int,
    tokens: int,
    batch_size: int,
    frozen_depths: int,
    in_parts: bool,
    untrained: int = 0,
    views: int = 1,
) -> int:
    """The bound of `training_memory`, for inputs of any kind.

    Args:
        a: the architecture.
        count: its parameters.
        first: numbers of one example that the backward pass needs before the encoder.
        tokens: tokens of one example.
        batch_size: examples.
        frozen_depths: as for `training_memory`.
        in_parts: as for `training_memory`.
        untrained: parameters before the encoder that are never trained.
        views: how many times the encoder reads each example.
    """
    # `Attention` folds the projections of heads that are as wide as a token. It has no parts there, and neither queries
    # nor keys nor values. For each head it keeps the tokens times both products of matrices, as wide as a token.
    folded = a.head_dim >= a.embed_dim
    queries = QUERIES_AT_ONCE if in_parts and tokens > MANY_TOKENS and not folded else tokens
    projected = a.num_heads * (2 * a.embed_dim if folded else 3 * a.head_dim)
    layer = views * (a.num_heads * queries * tokens + tokens * (a.embed_dim + projected + a.hidden_dim))
    trained_layers = a.num_layers - max(0, frozen_depths - 1)
    trained = count.rest + trained_layers * count.layer + (0 if frozen_depths else count.stem - untrained)
    passed = max(first, layer)  # the forward pass has each for a while
    kept = max(passed, trained_layers * layer) if frozen_depths else first + a.num_layers * layer
    return 4 * (2 * count.total(a.num_layers) + 3 * trained + batch_size * kept)


class ModelRow(BaseModel):
    """A line of `cct models`."""

    name: str
    parameters: int
    macs: int
    tokens: int
    accuracy: float | None
    epochs: int | None


def count_parameters(architecture: Architecture, *, height: int, width: int, channels: int, classes: int) -> int:
    """Number of trainable parameters, from the shapes of the layers. A test compares it with the built models."""
    size = {"height": height, "width": width, "channels": channels, "classes": classes}
    return _parameters(architecture, **size).total(architecture.num_layers)


def _parameters(a: Architecture, *, height: int, width: int, channels: int, classes: int) -> Parameters:
    if a.tokenizer == "patch":
        tokenizer = a.patch_size**2 * channels * a.embed_dim + a.embed_dim
    else:
        each = a.conv_bias + 2 * (a.conv_norm != "none")  # bias, and scale and shift of the norm, of a channel
        tokenizer = sum(_kernel_sizes(a, channels)) + each * sum([*a.conv_channels, a.embed_dim])
        tokenizer //= 1 + a.flip_invariant  # half of the channels follow from the others
    tokens = model_cost(a, height=height, width=width, channels=channels, classes=classes).tokens
    return encoder_parameters(a, tokens, classes=classes, tokenizer=tokenizer)


def encoder_parameters(a: Encoder, tokens: int, *, classes: int, tokenizer: int) -> Parameters:
    """All parameters of a model whose tokenizer has so many and makes so many tokens."""
    inner, hidden = a.num_heads * a.head_dim, a.hidden_dim
    stem = tokenizer + (a.embed_dim if a.pooling == "class_token" else 0)
    stem += tokens * a.embed_dim if a.positional_embedding == "learnable" else 0
    attention = a.embed_dim * 3 * inner + a.qkv_bias * 3 * inner + inner * a.embed_dim + a.embed_dim
    mlp = a.embed_dim * hidden + hidden + hidden * a.embed_dim + a.embed_dim
    rest = 2 * a.embed_dim + (a.embed_dim + 1 if a.pooling == "sequence" else 0)
    return Parameters(stem, attention + mlp + 4 * a.embed_dim, rest + a.embed_dim * classes + classes)


def model_table(*, height: int = 32, width: int = 32, channels: int = 3, classes: int = 10) -> list[ModelRow]:
    """Every named model at one image size. Models that cannot take this size are left out."""
    size = {"height": height, "width": width, "channels": channels, "classes": classes}
    rows = []
    for name in MODELS[IMAGES]:
        if name in CUSTOM:
            continue
        a = resolve_architecture(ModelParams(name=name))
        try:
            spent = model_cost(a, **size)
        except ModelError:
            continue
        cifar10 = (height, width, channels, classes) == (32, 32, 3, 10)
        accuracy, epochs = PUBLISHED.get(name, (None, None)) if cifar10 else (None, None)
        counts = {"parameters": count_parameters(a, **size), "macs": spent.macs, "tokens": spent.tokens}
        rows.append(ModelRow(name=name, **counts, accuracy=accuracy, epochs=epochs))
    return rows


def inputs_at_once(shape: Sequence[int], *, most: int) -> int:
    """How many inputs a model takes at a time outside of training: fewer where they are large.

    The memory of attention grows with the square of the number of tokens. A training with a small batch may fit where
    256 images of the same size would not.

    Args:
        shape: of one input: rows, columns, channels; or words.
        most: for small inputs.
    """
    return max(1, min(most, PLACES_AT_ONCE // max(1, math.prod(shape[:2]))))
