"""What every layer here shares."""

from collections.abc import Collection
from typing import Any

import keras
from keras import ops


class CCTLayer(keras.layers.Layer):
    """A layer whose `get_config` is its constructor's arguments, each kept as the attribute of that name."""

    arguments: tuple[str, ...] = ()

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {name: getattr(self, name) for name in self.arguments}


INITIALIZATIONS = ("paper", "keras")


def one_of(name: str, value: str, allowed: Collection[str]) -> str:
    """A constructor's argument that must be one of some words.

    Raises:
        ValueError: it is another one.
    """
    if value not in allowed:
        raise ValueError(f"{name} = {value!r}: must be one of {', '.join(allowed)}")
    return value


def dense(
    units: int,
    *,
    initialization: str,
    dtype: Any,
    name: str,
    use_bias: bool = True,
    activation=None,
    fans: int | None = None,
):
    """A linear layer with the initial weights of the paper's code, or Keras's own.

    PyTorch's trunc_normal_ cuts at +-2, not at two deviations: at 0.02 that is a plain normal distribution.

    Args:
        initialization: "paper" or "keras".
        fans: for Keras's initial weights, the sum of inputs and outputs that Glorot's rule takes, where it is not the
            layer's own.
    """
    if one_of("initialization", initialization, INITIALIZATIONS) == "paper":
        kernel = keras.initializers.RandomNormal(stddev=0.02)
    elif fans is None:
        kernel = keras.initializers.GlorotUniform()
    else:
        kernel = keras.initializers.RandomUniform(-((6 / fans) ** 0.5), (6 / fans) ** 0.5)
    return keras.layers.Dense(
        units, use_bias=use_bias, activation=activation, kernel_initializer=kernel, dtype=dtype, name=name
    )


def gelu(x):
    """Exact (erf) GELU."""
    return ops.gelu(x, approximate=False)
