"""The models by name: a small grammar over a table of sizes, and what each costs.

    cct_<layers>_<kernel>x<convolutions>    cct_7_3x1: 7 encoder layers, one 3x3 convolution block

Source: Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", arXiv:2104.05704, table 8 and the
authors' repository. Nothing here imports Keras.
"""

import difflib
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
NAMES = (*(f"cct_{layers}_{kernel}" for layers in SIZES for kernel in KERNELS), "keras_example")

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
    convolutions: Count
    kernel: Kernel
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
    layers: Count | None = Field(None, description="encoder layers")
    heads: Count | None = Field(None, description="attention heads; they divide the width unless head_width is given")
    width: Count | None = Field(None, description="width of a token")
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
    convolutions: Count | None = Field(None, description="convolution blocks in the tokenizer")
    kernel: Kernel | None = Field(None, description="size of the convolutions, odd; their stride follows from it")
    convolution_width: Count | None = Field(None, description="channels of all convolutions but the last")
    convolution_bias: bool | None = Field(None, description="biases in the convolutions")
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
    # The authors' rule: 1 up to a kernel of 5, 2 for 7.
    return Architecture(**fields, stride=max(1, fields["kernel"] // 2 - 1))


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    """What a valid `name` stands for, changed by what is given beside it."""
    return _named(given["name"]) | {key: value for key, value in given.items() if key != "name" and value is not None}


def _named(name: str) -> dict[str, Any]:
    if name == "keras_example":
        return KERAS_EXAMPLE
    layers, kernel, convolutions = map(int, re.fullmatch(r"cct_(\d+)_(\d+)x(\d+)", name).groups())
    heads, width, mlp_ratio = SIZES[layers]
    return {
        "layers": layers,
        "heads": heads,
        "width": width,
        "mlp_ratio": mlp_ratio,
        "kernel": kernel,
        "convolutions": convolutions,
    }


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
    "kernel": 3,
    "convolutions": 2,
    "convolution_padding": "valid",
    "initialization": "keras",
    "standardize": False,
    "dropout": 0.1,
    "dropout_places": "mlp",
}


class Cost(BaseModel):
    """What one picture costs. `macs` counts multiply-adds with weights, as the paper does; products of queries, keys
    and values are apart in `attention_macs`."""

    tokens: int
    macs: int
    attention_macs: int


def grid(architecture: Architecture, height: int, width: int) -> list[tuple[int, int]]:
    """Rows and columns after each convolution and after each pooling, in turn.

    Raises:
        ModelError: nothing is left of a picture this small.
    """
    sizes, picture = [], f"{height}x{width}"
    margin = architecture.kernel // 2 if architecture.convolution_padding == "same" else 0
    for _ in range(architecture.convolutions):
        height, width = (
            (side + 2 * margin - architecture.kernel) // architecture.stride + 1 for side in (height, width)
        )
        sizes.append((height, width))
        # Pooling 3x3 with stride 2: one cell of padding on every side; the example pads "same" on top of that.
        height, width = (
            (side - 1) // 2 + 1 if architecture.convolution_padding == "same" else (side + 3) // 2
            for side in (height, width)
        )
        sizes.append((height, width))
        if min(sizes[-2]) < 1:
            raise ModelError(
                f"model: {architecture.convolutions} convolutions of {architecture.kernel}x{architecture.kernel} "
                f"without padding leave nothing of a picture this small: {picture}"
            )
    return sizes


def cost(architecture: Architecture, *, height: int, width: int, channels: int, classes: int) -> Cost:
    """Tokens and multiply-adds for one picture of `height` x `width` x `channels`.

    Raises:
        ModelError: as `grid`.
    """
    sizes = grid(architecture, height, width)
    macs, source = 0, channels
    for block in range(architecture.convolutions):
        rows, columns = sizes[2 * block]
        target = architecture.width if block == architecture.convolutions - 1 else architecture.convolution_width
        macs += rows * columns * architecture.kernel**2 * source * target
        source = target
    tokens = sizes[-1][0] * sizes[-1][1]
    inner = architecture.heads * architecture.head_width
    hidden = int(architecture.width * architecture.mlp_ratio)
    weights = architecture.width * inner * 4 + architecture.width * hidden * 2
    macs += architecture.layers * tokens * weights + tokens * architecture.width + architecture.width * classes
    return Cost(tokens=tokens, macs=macs, attention_macs=architecture.layers * 2 * tokens**2 * inner)
