"""Model names: a small grammar over a table of sizes.

    cct_<layers>_<kernel>x<convolutions>    cct_7_3x1: 7 encoder layers, one 3x3 convolution block
    cvt_<layers>_<patch>                    cvt_7_4: 7 encoder layers, patches of 4x4, sequence pooling
    vit_lite_<layers>_<patch>               vit_lite_7_4: the same with a class token
    vit                                     a plain ViT of 4.8 M parameters
    keras_example                           the Keras example "Compact Convolutional Transformers"
    custom                                  every field must be given

Source: Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", arXiv:2104.05704, table 8 and the
authors' repository. Nothing here imports Keras.
"""

import difflib
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from cct.errors import CCTError
from cct.params import Section


class ModelError(CCTError, ValueError):
    """A model cannot take images of this size."""


# Encoder sizes of the paper by number of layers: heads, width, MLP ratio.
SIZES = {2: (2, 128, 1), 4: (2, 128, 1), 6: (4, 256, 2), 7: (4, 256, 2), 14: (6, 384, 3)}
KERNELS = ("3x1", "3x2", "7x1", "7x2")
PATCHES = (2, 4, 8, 16)
MODEL_NAMES = (
    *(f"cct_{layers}_{kernel}" for layers in SIZES for kernel in KERNELS),
    *(f"{family}_{layers}_{patch}" for family in ("cvt", "vit_lite") for layers in (2, 4, 6, 7) for patch in PATCHES),
    "vit",
    "keras_example",
    "custom",
)
Rate = Annotated[float, Field(ge=0, le=0.99)]
Count = Annotated[int, Field(ge=1, le=1024)]
Width = Annotated[int, Field(ge=1, le=65_536)]


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("must be odd")
    return size


Kernel = Annotated[Annotated[int, Field(ge=1, le=63)], AfterValidator(_odd)]


class Architecture(BaseModel):
    """All choices that define a model, except the image shape and the number of classes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_layers: Count
    num_heads: Count
    embed_dim: Width
    head_dim: Width
    mlp_ratio: float
    mlp_output: Literal["linear", "gelu"] = "linear"
    norm: Literal["stream", "pre"] = "stream"
    qkv_bias: bool = False
    tokenizer: Literal["conv", "patch"] = "conv"
    pooling: Literal["sequence", "class_token", "mean"] = "sequence"
    patch_size: Count = 1
    num_conv_layers: Count = 1
    kernel_size: Kernel = 1
    stride: Count = 1
    conv_channels: Width = 64
    conv_bias: bool = False
    conv_padding: Literal["same", "valid"] = "same"
    positional_embedding: Literal["learnable", "sinusoidal", "none"] = "learnable"
    initialization: Literal["paper", "keras"] = "paper"
    standardize: bool = True
    dropout: Rate = 0.0
    dropout_places: Literal["all", "mlp"] = "all"
    attention_dropout: Rate = 0.1
    stochastic_depth: Rate = 0.1
    layer_norm_epsilon: float = 1e-5


class ModelParams(Section):
    """The model. Null leaves a field as the name says; a value changes it. The name custom needs every field."""

    renamed: ClassVar[dict[str, str]] = {
        "layers": "num_layers",
        "heads": "num_heads",
        "width": "embed_dim",
        "head_width": "head_dim",
        "mlp": "mlp_output",
        "patch": "patch_size",
        "convolutions": "num_conv_layers",
        "kernel": "kernel_size",
        "convolution_width": "conv_channels",
        "convolution_bias": "conv_bias",
        "positions": "positional_embedding",
        "epsilon": "layer_norm_epsilon",
    }

    name: str = Field(
        description="a name that cct models lists, such as cct_7_3x1, cvt_7_4, vit_lite_7_4 or keras_example; or custom"
    )
    num_layers: Count | None = Field(None, validate_default=True, description="encoder layers")
    num_heads: Count | None = Field(
        None, validate_default=True, description="attention heads; must divide embed_dim unless head_dim is given"
    )
    embed_dim: Width | None = Field(None, validate_default=True, description="width of a token")
    head_dim: Width | None = Field(
        None, validate_default=True, description="width of one head, otherwise embed_dim / num_heads"
    )
    mlp_ratio: Annotated[float, Field(gt=0, le=64)] | None = Field(
        None, validate_default=True, description="hidden width of the MLP divided by embed_dim"
    )
    mlp_output: Literal["linear", "gelu"] | None = Field(
        None, description="activation of the MLP's last layer; the Keras example has gelu"
    )
    norm: Literal["stream", "pre"] | None = Field(
        None, description="where the second norm stands: on the residual stream (authors' code) or before the MLP"
    )
    qkv_bias: bool | None = Field(None, description="whether the projection to query, key and value has biases")
    tokenizer: Literal["conv", "patch"] | None = Field(
        None, validate_default=True, description="how images become tokens: by convolutions or by patches"
    )
    patch_size: Count | None = Field(None, validate_default=True, description="patch: side of a square patch in pixels")
    num_conv_layers: Count | None = Field(None, validate_default=True, description="conv: number of convolution blocks")
    kernel_size: Kernel | None = Field(
        None, validate_default=True, description="conv: odd size of the kernels; the stride follows from it"
    )
    conv_channels: Width | None = Field(None, description="conv: channels of all convolutions but the last")
    conv_bias: bool | None = Field(None, description="conv: whether the convolutions have biases")
    pooling: Literal["sequence", "class_token", "mean"] | None = Field(
        None, description="how tokens become one vector; sequence pooling has learned weights"
    )
    positional_embedding: Literal["learnable", "sinusoidal", "none"] | None = Field(
        None, description="position embeddings"
    )
    dropout: Rate | None = Field(None, description="dropout rate after positions, attention and MLP layers")
    attention_dropout: Rate | None = Field(None, description="dropout rate of attention weights")
    stochastic_depth: Rate | None = Field(
        None, description="rate at the last layer; it rises linearly from 0 at the first"
    )
    layer_norm_epsilon: Annotated[float, Field(ge=1e-12, le=1)] | None = Field(
        None, description="epsilon of the layer norms"
    )

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in MODEL_NAMES:
            near = difflib.get_close_matches(name, MODEL_NAMES, n=3, cutoff=0.4)
            nearest = f"nearest: {', '.join(near)}; " if near else ""
            raise ValueError(f"unknown model name; {nearest}all: {', '.join(MODEL_NAMES)}")
        return name

    @field_validator("num_layers", "num_heads", "embed_dim", "mlp_ratio", "tokenizer")
    @classmethod
    def _complete(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.data.get("name") == "custom":
            raise ValueError(f"{info.field_name} must be given, because the name is custom")
        return value

    @field_validator("patch_size", "num_conv_layers", "kernel_size", "conv_channels", "conv_bias")
    @classmethod
    def _of_use(cls, value: Any, info: ValidationInfo) -> Any:
        if not {"name", "tokenizer"} <= info.data.keys():
            return value
        fields = _fields(info.data)
        tokenizer, field = fields["tokenizer"], info.field_name
        if value is None:
            if field in TOKENIZERS[tokenizer] and field not in fields:
                raise ValueError(f"{field} must be given, because the tokenizer is {tokenizer}")
        elif field not in (*TOKENIZERS[tokenizer], *(CONV_OPTIONS if tokenizer == "conv" else ())):
            raise ValueError(f"has no use: the tokenizer of {info.data['name']} is {tokenizer}")
        elif field == "conv_channels" and fields.get("num_conv_layers") == 1:
            raise ValueError("has no use: the only convolution is as wide as a token")
        return value

    # As in TrainParams: a field's validator sees the valid fields above its own, and reports beside other mistakes.
    @field_validator("head_dim")
    @classmethod
    def _heads_divide(cls, head_dim: int | None, info: ValidationInfo) -> int | None:
        if {"name", "num_heads", "embed_dim"} <= info.data.keys():
            fields = _fields(info.data | {"head_dim": head_dim})
            if "head_dim" not in fields and fields["embed_dim"] % fields["num_heads"]:
                raise ValueError(
                    f"num_heads {fields['num_heads']} does not divide embed_dim {fields['embed_dim']}: "
                    "choose a num_heads that does, or give head_dim"
                )
        return head_dim

    @field_validator("mlp_ratio")
    @classmethod
    def _hidden_units(cls, mlp_ratio: float | None, info: ValidationInfo) -> float | None:
        if {"name", "embed_dim"} <= info.data.keys():
            fields = _fields(info.data | {"mlp_ratio": mlp_ratio})
            if fields["embed_dim"] * fields["mlp_ratio"] < 1:
                raise ValueError(
                    f"leaves the MLP no unit at embed_dim {fields['embed_dim']}: at least {1 / fields['embed_dim']}"
                )
        return mlp_ratio


def resolve_architecture(params: ModelParams) -> Architecture:
    """The architecture that `params` names, with its overrides."""
    fields = _fields(params.model_dump())
    fields.setdefault("head_dim", fields["embed_dim"] // fields["num_heads"])
    if fields["tokenizer"] == "conv":
        fields["stride"] = max(1, fields["kernel_size"] // 2 - 1)  # the authors' rule: 1 up to a kernel of 5, 2 for 7
    return Architecture(**fields)


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of a valid `name`, with the given overrides."""
    fields = _named(given["name"]) | {key: value for key, value in given.items() if key != "name" and value is not None}
    if "tokenizer" in fields:  # an override may change it; then drop the name's fields of the other one
        others = {key for name, needed in TOKENIZERS.items() if name != fields["tokenizer"] for key in needed}
        fields = {key: value for key, value in fields.items() if key not in others}
    return fields


def _named(name: str) -> dict[str, Any]:
    if name in SPECIAL:
        return SPECIAL[name]
    family, layers, rest = re.fullmatch(r"(cct|cvt|vit_lite)_(\d+)_(.+)", name).groups()
    fields = dict(zip(("num_heads", "embed_dim", "mlp_ratio"), SIZES[int(layers)], strict=True), num_layers=int(layers))
    if family == "cct":
        kernel, convolutions = map(int, rest.split("x"))
        return fields | {"tokenizer": "conv", "kernel_size": kernel, "num_conv_layers": convolutions}
    pooling = "sequence" if family == "cvt" else "class_token"
    return fields | {"tokenizer": "patch", "patch_size": int(rest), "pooling": pooling}


# https://keras.io/examples/vision/cct/: cct_2_3x2 with these differences. Heads are as wide as the embedding. The MLP
# has two GELU layers. Blocks are ordinary pre-norm blocks. Convolutions have no padding. Images are only scaled to
# 0..1. Initial weights are Keras's own.
KERAS_EXAMPLE = {
    "num_layers": 2,
    "num_heads": 2,
    "embed_dim": 128,
    "head_dim": 128,
    "mlp_ratio": 1,
    "mlp_output": "gelu",
    "norm": "pre",
    "qkv_bias": True,
    "tokenizer": "conv",
    "kernel_size": 3,
    "num_conv_layers": 2,
    "conv_padding": "valid",
    "initialization": "keras",
    "standardize": False,
    "dropout": 0.1,
    "dropout_places": "mlp",
}
# Dosovitskiy et al., arXiv:2010.11929, in the size that the Keras example uses for comparison.
VIT = {
    "num_layers": 6,
    "num_heads": 4,
    "embed_dim": 256,
    "mlp_ratio": 4,
    "norm": "pre",
    "qkv_bias": True,
    "tokenizer": "patch",
    "patch_size": 4,
    "pooling": "class_token",
}
SPECIAL = {"keras_example": KERAS_EXAMPLE, "vit": VIT, "custom": {}}
# Required fields of each tokenizer, and optional fields of the conv tokenizer.
TOKENIZERS = {"conv": ("num_conv_layers", "kernel_size"), "patch": ("patch_size",)}
CONV_OPTIONS = ("conv_channels", "conv_bias")
