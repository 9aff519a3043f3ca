"""Everything that defines a model: what all have, and what those of images and of texts have besides."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=0.99)]
Count = Annotated[int, Field(ge=1, le=1024)]
Width = Annotated[int, Field(ge=1, le=65_536)]
Kernel = Annotated[int, Field(ge=1, le=63)]
CONV_CHANNELS = 64  # of every convolution but the last, in the authors' models


def hidden_units(embed_dim: int, mlp_ratio: float) -> int:
    """The hidden units of an MLP. A product just below a whole number is that number: 100 * 1.15 is 114.99999999999999.

    So the ratio of hidden units to width, as a float, gives these hidden units again.
    """
    return math.floor(embed_dim * mlp_ratio + 1e-6)


class Encoder(BaseModel):
    """The choices that all models have, except the number of classes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_layers: Count
    num_heads: Count
    embed_dim: Width
    head_dim: Width
    mlp_ratio: float
    mlp_output: Literal["linear", "gelu"] = "linear"
    norm: Literal["stream", "pre"] = "stream"
    qkv_bias: bool = False
    pooling: Literal["sequence", "class_token", "mean"] = "sequence"
    positional_embedding: Literal["learnable", "sinusoidal", "none"] = "learnable"
    initialization: Literal["paper", "keras"] = "paper"
    dropout: Rate = 0.0
    dropout_places: Literal["all", "mlp"] = "all"
    attention_dropout: Rate = 0.1
    stochastic_depth: Rate = 0.1
    layer_norm_epsilon: float = 1e-5

    @property
    def hidden_dim(self) -> int:
        """The hidden units of each MLP."""
        return hidden_units(self.embed_dim, self.mlp_ratio)


class Architecture(Encoder):
    """All choices that define a model of images, except their shape and the number of classes.

    Attributes:
        tokenizer: "conv": blocks of a convolution and ReLU. "patch": one linear map of each patch.
        patch_size: patch: side of a patch in pixels.
        num_conv_layers: conv: number of blocks.
        pool_after: conv: the blocks with max-pooling, counted from 1.
        conv_channels: conv: channels of each block but the last, which is as wide as a token.
    """

    tokenizer: Literal["conv", "patch"] = "conv"
    patch_size: Count = 1
    num_conv_layers: Count = 1
    pool_after: tuple[Count, ...] = ()
    kernel_size: Kernel = 1
    stride: Count = 1
    conv_channels: tuple[Width, ...] = ()
    conv_bias: bool = False
    conv_norm: Literal["none", "batch"] = "none"
    flip_invariant: bool = False
    conv_padding: Literal["same", "valid"] = "same"
    standardize: bool = True


class TextArchitecture(Encoder):
    """All choices that define a model of texts, except their length, the vocabulary and the number of classes.

    Attributes:
        word_dim: width of a word's vector.
        tokenizer: "conv": convolution, ReLU and max-pooling over words. "patch": one linear map of some words. "none":
            a token is a word.
        kernel_size: conv: words in a convolution.
        stride: conv: words from one convolution to the next.
        padding: conv: empty places before the first and after the last word.
        patch_size: patch: words in a patch.
    """

    word_dim: Width
    tokenizer: Literal["conv", "patch", "none"]
    kernel_size: Kernel = 1
    stride: Count = 1
    padding: Count = 1
    patch_size: Count = 1
    conv_bias: bool = False
