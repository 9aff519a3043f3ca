"""Shared code of the layers."""

from collections.abc import Collection
from typing import Any

import keras
from keras import ops


class CCTLayer(keras.layers.Layer):
    """A layer whose `get_config` returns its constructor's arguments. Each is an attribute of the same name."""

    arguments: tuple[str, ...] = ()

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {name: getattr(self, name) for name in self.arguments}


INITIALIZATIONS = ("paper", "keras")


def one_of(name: str, value: str, allowed: Collection[str]) -> str:
    """Return `value`, a constructor's argument, if it is one of the allowed words.

    Raises:
        ValueError: `value` is not allowed.
    """
    if value not in allowed:
        raise ValueError(f"{name} = {value!r}: must be one of {', '.join(allowed)}")
    return value


def require(holds: bool, message: str) -> None:
    """Refuse a constructor's arguments that do not go together.

    Raises:
        ValueError: they do not hold.
    """
    if not holds:
        raise ValueError(message)


def he_normal(initialization: str) -> keras.initializers.Initializer:
    """He et al.'s initial weights of convolutions. PyTorch's kaiming_normal_ is not truncated, Keras's he_normal is.

    Args:
        initialization: "paper" or "keras".
    """
    paper = one_of("initialization", initialization, INITIALIZATIONS) == "paper"
    return keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal" if paper else "truncated_normal")


def dense(
    units: int,
    *,
    initialization: str,
    dtype: Any,
    name: str,
    use_bias: bool = True,
    fans: int | None = None,
):
    """A linear layer with the initial weights of the paper's code or of Keras.

    PyTorch's trunc_normal_ cuts at +-2, not at two deviations. At a deviation of 0.02 this is a plain normal
    distribution.

    Args:
        initialization: "paper" or "keras".
        fans: for Keras's initial weights: sum of inputs and outputs in Glorot's rule. None: the layer's own sum.
    """
    if one_of("initialization", initialization, INITIALIZATIONS) == "paper":
        kernel = keras.initializers.RandomNormal(stddev=0.02)
    elif fans is None:
        kernel = keras.initializers.GlorotUniform()
    else:
        kernel = keras.initializers.RandomUniform(-((6 / fans) ** 0.5), (6 / fans) ** 0.5)
    return keras.layers.Dense(units, use_bias=use_bias, kernel_initializer=kernel, dtype=dtype, name=name)


def masked(scores, valid):
    """Scores before a softmax in float32. Those of tokens that do not count become so low that their weight is 0.

    The lowest is finite: where no token counts, all get the same weight, and no NaN.
    """
    return ops.where(valid, scores, -1e30)
