"""The models by name: a small grammar over a table of sizes, and what each costs.

    cct_<layers>_<kernel>x<convolutions>    cct_7_3x1: 7 encoder layers, one 3x3 convolution block
    cvt_<layers>_<patch>                    cvt_7_4: 7 encoder layers, patches of 4x4, sequence pooling
    vit_lite_<layers>_<patch>               vit_lite_7_4: the same with a class token
    vit                                     a plain ViT of 4.8 M parameters
    keras_example                           the Keras example "Compact Convolutional Transformers"
    custom                                  every field is given

Source: Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", arXiv:2104.05704, table 8 and the
authors' repository. Nothing here imports Keras.
"""

import difflib
import itertools
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from cct.errors import CCTError
from cct.params import Section


class ModelError(CCTError, ValueError):
    """A model cannot take pictures of this size."""


# Encoder sizes of the paper by number of layers: heads, width, MLP ratio.
SIZES = {2: (2, 128, 1), 4: (2, 128, 1), 6: (4, 256, 2), 7: (4, 256, 2), 14: (6, 384, 3)}
KERNELS = ("3x1", "3x2", "7x1", "7x2")
PATCHES = (2, 4, 8, 16)
NAMES = (
    *(f"cct_{layers}_{kernel}" for layers in SIZES for kernel in KERNELS),
    *(f"{family}_{layers}_{patch}" for family in ("cvt", "vit_lite") for layers in (2, 4, 6, 7) for patch in PATCHES),
    "vit",
    "keras_example",
    "custom",
)
# Test accuracy in percent and epochs on the original CIFAR-10, as published (the paper; for the example, its page).
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

Rate = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("must be odd")
    return size


Kernel = Annotated[Count, AfterValidator(_odd)]


class Architecture(BaseModel):
    """Everything that decides the function a model computes, but for the size and number of its inputs and outputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: Count
    heads: Count
    width: Count
    head_width: Count
    mlp_ratio: float
    mlp: Literal["linear", "gelu"] = "linear"
    norm: Literal["stream", "pre"] = "stream"
    qkv_bias: bool = False
    tokenizer: Literal["convolutions", "patches"] = "convolutions"
    pooling: Literal["sequence", "class_token", "mean"] = "sequence"
    patch: Count = 1
    convolutions: Count = 1
    kernel: Kernel = 1
    stride: Count = 1
    convolution_width: Count = 64
    convolution_bias: bool = False
    convolution_padding: Literal["same", "valid"] = "same"
    positions: Literal["learnable", "sinusoidal", "none"] = "learnable"
    initialization: Literal["paper", "keras"] = "paper"
    standardize: bool = True
    dropout: Rate = 0.0
    dropout_places: Literal["all", "mlp"] = "all"
    attention_dropout: Rate = 0.1
    stochastic_depth: Rate = 0.1
    epsilon: float = 1e-5


class ModelParams(Section):
    """`model` in `params.yaml`: a name, and any field of the architecture that shall differ from the name's."""

    name: str = Field(description="one of: " + ", ".join(NAMES))
    layers: Count | None = Field(None, validate_default=True, description="encoder layers")
    heads: Count | None = Field(
        None, validate_default=True, description="attention heads; they divide the width unless head_width is given"
    )
    width: Count | None = Field(None, validate_default=True, description="width of a token")
    head_width: Count | None = Field(
        None, validate_default=True, description="width of one head; width / heads where not given"
    )
    mlp_ratio: Annotated[float, Field(gt=0)] | None = Field(
        None, validate_default=True, description="hidden width of the MLP / width"
    )
    mlp: Literal["linear", "gelu"] | None = Field(None, description="what ends the MLP: a linear or a GELU layer")
    norm: Literal["stream", "pre"] | None = Field(
        None, description="second norm on the stream itself (the authors' code), or on the MLP's input only (pre-norm)"
    )
    qkv_bias: bool | None = Field(None, description="biases in the projection to query, key and value")
    tokenizer: Literal["convolutions", "patches"] | None = Field(
        None, validate_default=True, description="how pictures become tokens"
    )
    patch: Count | None = Field(
        None, validate_default=True, description="side of a square patch in pixels, for the tokenizer patches"
    )
    convolutions: Count | None = Field(
        None, validate_default=True, description="convolution blocks, for the tokenizer convolutions"
    )
    kernel: Kernel | None = Field(
        None, validate_default=True, description="size of the convolutions, odd; their stride follows from it"
    )
    convolution_width: Count | None = Field(None, description="channels of all convolutions but the last")
    convolution_bias: bool | None = Field(None, description="biases in the convolutions")
    pooling: Literal["sequence", "class_token", "mean"] | None = Field(None, description="from tokens to one vector")
    positions: Literal["learnable", "sinusoidal", "none"] | None = Field(None, description="position embeddings")
    dropout: Rate | None = Field(None, description="after positions, attention and MLP layers, from 0 to below 1")
    attention_dropout: Rate | None = Field(None, description="of attention weights, from 0 to below 1")
    stochastic_depth: Rate | None = Field(None, description="rate of the last layer, rising linearly from 0")
    epsilon: Annotated[float, Field(gt=0)] | None = Field(None, description="of the layer norms")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=3, cutoff=0.4)
            nearest = f"nearest: {', '.join(near)}; " if near else ""
            raise ValueError(f"unknown model name; {nearest}all: {', '.join(NAMES)}")
        return name

    @field_validator("layers", "heads", "width", "mlp_ratio", "tokenizer")
    @classmethod
    def _complete(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.data.get("name") == "custom":
            raise ValueError(f"{info.field_name} must be given, because the name is custom")
        return value

    @field_validator("patch", "convolutions", "kernel", "convolution_width", "convolution_bias")
    @classmethod
    def _of_use(cls, value: Any, info: ValidationInfo) -> Any:
        if not {"name", "tokenizer"} <= info.data.keys():
            return value
        fields = _fields(info.data)
        tokenizer, field = fields["tokenizer"], info.field_name
        if value is None:
            if field in TOKENIZERS[tokenizer] and field not in fields:
                raise ValueError(f"{field} must be given, because the tokenizer is {tokenizer}")
        elif field not in (*TOKENIZERS[tokenizer], *(CONVOLUTION_OPTIONS if tokenizer == "convolutions" else ())):
            raise ValueError(f"has no use: the tokenizer of {info.data['name']} is {tokenizer}")
        elif field == "convolution_width" and fields.get("convolutions") == 1:
            raise ValueError("has no use: the only convolution is as wide as a token")
        return value

    # As in TrainParams: a field's validator sees the valid fields above its own, and is heard beside other mistakes.
    @field_validator("head_width")
    @classmethod
    def _heads_divide(cls, head_width: int | None, info: ValidationInfo) -> int | None:
        if {"name", "heads", "width"} <= info.data.keys():
            fields = _fields(info.data | {"head_width": head_width})
            if "head_width" not in fields and fields["width"] % fields["heads"]:
                raise ValueError(
                    f"heads {fields['heads']} do not divide width {fields['width']}: "
                    "choose heads that do, or give head_width"
                )
        return head_width

    @field_validator("mlp_ratio")
    @classmethod
    def _hidden_units(cls, mlp_ratio: float | None, info: ValidationInfo) -> float | None:
        if {"name", "width"} <= info.data.keys():
            fields = _fields(info.data | {"mlp_ratio": mlp_ratio})
            if fields["width"] * fields["mlp_ratio"] < 1:
                raise ValueError(
                    f"leaves no unit of width {fields['width']} in the MLP: at least {1 / fields['width']}"
                )
        return mlp_ratio


def resolve(params: ModelParams) -> Architecture:
    """The architecture that `params` names, with its overrides."""
    fields = _fields(params.model_dump())
    fields.setdefault("head_width", fields["width"] // fields["heads"])
    if fields["tokenizer"] == "convolutions":
        fields["stride"] = max(1, fields["kernel"] // 2 - 1)  # the authors' rule: 1 up to a kernel of 5, 2 for 7
    return Architecture(**fields)


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    """What a valid `name` stands for, changed by what is given beside it."""
    fields = _named(given["name"]) | {key: value for key, value in given.items() if key != "name" and value is not None}
    if "tokenizer" in fields:  # an override may have changed it: what the name says of the other is void
        other = next(name for name in TOKENIZERS if name != fields["tokenizer"])
        fields = {key: value for key, value in fields.items() if key not in TOKENIZERS[other]}
    return fields


def _named(name: str) -> dict[str, Any]:
    if name in SPECIAL:
        return SPECIAL[name]
    family, layers, rest = re.fullmatch(r"(cct|cvt|vit_lite)_(\d+)_(.+)", name).groups()
    fields = dict(zip(("heads", "width", "mlp_ratio"), SIZES[int(layers)], strict=True), layers=int(layers))
    if family == "cct":
        kernel, convolutions = map(int, rest.split("x"))
        return fields | {"tokenizer": "convolutions", "kernel": kernel, "convolutions": convolutions}
    pooling = "sequence" if family == "cvt" else "class_token"
    return fields | {"tokenizer": "patches", "patch": int(rest), "pooling": pooling}


# https://keras.io/examples/vision/cct/: cct_2_3x2 with heads as wide as the embedding, an MLP of two GELU layers, an
# ordinary pre-norm block, convolutions without padding, pictures scaled to 0..1 only, and Keras's own initial weights.
KERAS_EXAMPLE = {
    "layers": 2,
    "heads": 2,
    "width": 128,
    "head_width": 128,
    "mlp_ratio": 1,
    "mlp": "gelu",
    "norm": "pre",
    "qkv_bias": True,
    "tokenizer": "convolutions",
    "kernel": 3,
    "convolutions": 2,
    "convolution_padding": "valid",
    "initialization": "keras",
    "standardize": False,
    "dropout": 0.1,
    "dropout_places": "mlp",
}
# Dosovitskiy et al., arXiv:2010.11929, in the size that the Keras example compares itself with.
VIT = {
    "layers": 6,
    "heads": 4,
    "width": 256,
    "mlp_ratio": 4,
    "norm": "pre",
    "qkv_bias": True,
    "tokenizer": "patches",
    "patch": 4,
    "pooling": "class_token",
}
SPECIAL = {"keras_example": KERAS_EXAMPLE, "vit": VIT, "custom": {}}
# What each tokenizer needs, and what convolutions take besides.
TOKENIZERS = {"convolutions": ("convolutions", "kernel"), "patches": ("patch",)}
CONVOLUTION_OPTIONS = ("convolution_width", "convolution_bias")


class Cost(BaseModel):
    """What one picture costs. `macs` counts multiply-adds with weights, as the paper does; products of queries, keys
    and values are apart in `attention_macs`."""

    tokens: int
    macs: int
    attention_macs: int


def grid(architecture: Architecture, height: int, width: int) -> list[tuple[int, int]]:
    """Rows and columns after each convolution and after each pooling, in turn; those of the patches, once.

    Raises:
        ModelError: nothing is left of a picture this small, or patches do not fill it.
    """
    a, picture = architecture, f"{height}x{width}"
    if a.tokenizer == "patches":
        if height % a.patch or width % a.patch:
            raise ModelError(f"model: patches of {a.patch}x{a.patch} do not fill pictures of {picture}")
        return [(height // a.patch, width // a.patch)]
    sizes = []
    margin = a.kernel // 2 if a.convolution_padding == "same" else 0
    for _ in range(a.convolutions):
        height, width = ((side + 2 * margin - a.kernel) // a.stride + 1 for side in (height, width))
        sizes.append((height, width))
        # Pooling 3x3 with stride 2: one cell of padding on every side; the example pads "same" on top of that.
        height, width = (
            (side - 1) // 2 + 1 if a.convolution_padding == "same" else (side + 3) // 2 for side in (height, width)
        )
        sizes.append((height, width))
        if min(sizes[-2]) < 1:
            raise ModelError(
                f"model: {a.convolutions} convolutions of {a.kernel}x{a.kernel} "
                f"without padding leave nothing of a picture this small: {picture}"
            )
    return sizes


def cost(architecture: Architecture, *, height: int, width: int, channels: int, classes: int) -> Cost:
    """Tokens and multiply-adds for one picture of `height` x `width` x `channels`.

    Raises:
        ModelError: as `grid`.
    """
    a = architecture
    sizes = grid(a, height, width)
    places = sizes[-1][0] * sizes[-1][1]
    if a.tokenizer == "patches":
        macs = places * a.patch**2 * channels * a.width
    else:
        macs, source = 0, channels
        for block in range(a.convolutions):
            rows, columns = sizes[2 * block]
            target = a.width if block == a.convolutions - 1 else a.convolution_width
            macs += rows * columns * a.kernel**2 * source * target
            source = target
    tokens = places + (a.pooling == "class_token")
    inner, hidden = a.heads * a.head_width, int(a.width * a.mlp_ratio)
    macs += a.layers * tokens * (a.width * inner * 4 + a.width * hidden * 2) + a.width * classes
    if a.pooling == "sequence":
        macs += tokens * a.width
    return Cost(tokens=tokens, macs=macs, attention_macs=a.layers * 2 * tokens**2 * inner)


class Row(BaseModel):
    """A line of `cct models`."""

    name: str
    parameters: int
    macs: int
    tokens: int
    accuracy: float | None
    epochs: int | None


def parameters(architecture: Architecture, *, height: int, width: int, channels: int, classes: int) -> int:
    """Trainable parameters, counted from the shapes of the layers; a test compares it with the built models."""
    a = architecture
    inner, hidden = a.heads * a.head_width, int(a.width * a.mlp_ratio)
    if a.tokenizer == "patches":
        count = a.patch**2 * channels * a.width + a.width
    else:
        widths = [channels, *[a.convolution_width] * (a.convolutions - 1), a.width]
        count = sum(a.kernel**2 * m * n + a.convolution_bias * n for m, n in itertools.pairwise(widths))
    tokens = cost(a, height=height, width=width, channels=channels, classes=classes).tokens
    count += a.width if a.pooling == "class_token" else 0
    count += tokens * a.width if a.positions == "learnable" else 0
    attention = a.width * 3 * inner + a.qkv_bias * 3 * inner + inner * a.width + a.width
    mlp = a.width * hidden + hidden + hidden * a.width + a.width
    count += a.layers * (attention + mlp + 4 * a.width) + 2 * a.width
    count += a.width + 1 if a.pooling == "sequence" else 0
    return count + a.width * classes + classes


def table(*, height: int = 32, width: int = 32, channels: int = 3, classes: int = 10) -> list[Row]:
    """Every named model at one size of pictures; those that cannot take it are left out."""
    size = {"height": height, "width": width, "channels": channels, "classes": classes}
    rows = []
    for name in NAMES:
        if name == "custom":
            continue
        a = resolve(ModelParams(name=name))
        try:
            spent = cost(a, **size)
        except ModelError:
            continue
        accuracy, epochs = PUBLISHED.get(name, (None, None))
        counts = {"parameters": parameters(a, **size), "macs": spent.macs, "tokens": spent.tokens}
        rows.append(Row(name=name, **counts, accuracy=accuracy, epochs=epochs))
    return rows
