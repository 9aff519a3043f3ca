"""The parts of a model by their depth: which of them `train.freeze` freezes, and the learning rate of each.

The depth of a layer follows from its name. It is 0 for all that makes tokens, i + 1 for `encoder_<i>`, and one more
than the last encoder layer's for `pool` and `head`. The last norm belongs to the last encoder layer. timm counts the
layers of a ViT so (`group_matcher`, `param_groups_layer_decay`). This module is light, because the schema reads names.
"""

import contextlib
import logging
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

# From the number of encoder layers to the number of depths that are frozen, from the first.
FREEZE: dict[str, Callable[[int], int]] = {
    "none": lambda num_layers: 0,
    "tokenizer": lambda num_layers: 1,
    "encoder": lambda num_layers: num_layers + 1,
}
ENCODER, NORM, LAST = "encoder_", "norm", ("pool", "head")


def layer_depths(model: "keras.Model") -> dict[str, int]:
    """The depth of each layer, by its name."""
    names = [layer.name for layer in model.layers]
    num_layers = sum(name.startswith(ENCODER) for name in names)
    top = dict.fromkeys(LAST, num_layers + 1) | {NORM: num_layers}
    return {
        name: int(name.removeprefix(ENCODER)) + 1 if name.startswith(ENCODER) else top.get(name, 0) for name in names
    }


def rate_factors(model: "keras.Model", layer_decay: float) -> list[float]:
    """The factor of the learning rate of each trainable variable: `layer_decay` to the distance from the head.

    Source: Clark et al., arXiv:2003.10555 (ELECTRA), as timm has it.
    """
    depths = layer_depths(model)
    factors = {
        id(variable): layer_decay ** (depths["head"] - depths[layer.name])
        for layer in model.layers
        for variable in layer.trainable_variables
    }
    return [factors[id(variable)] for variable in model.trainable_variables]


def frozen_layers(model: "keras.Model", freeze: str) -> list["keras.Layer"]:
    """The layers that `train.freeze`, a key of `FREEZE`, freezes."""
    depths = layer_depths(model)
    most = FREEZE[freeze](sum(name.startswith(ENCODER) for name in depths))
    return [layer for layer in model.layers if depths[layer.name] < most]


@contextlib.contextmanager
def frozen(model: "keras.Model", freeze: str) -> Iterator[None]:
    """Freeze parts of a model that is not compiled yet: they get no update, no weight decay and no average.

    Dropout and stochastic depth stay on in frozen layers, and batch norms use their moving averages. Afterwards all
    layers are trainable again, so that the model's file is that of any other model.

    Args:
        model: the model.
        freeze: a key of `FREEZE`.
    """
    layers = [layer for layer in frozen_layers(model, freeze) if layer.trainable]
    for layer in layers:
        layer.trainable = False
    if layers:
        from cct.training.variables import parameters_of

        trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
        log.info(
            "train.freeze = %s: %s of %s parameters are trained", freeze, f"{trained:,}", f"{parameters_of(model):,}"
        )
    try:
        yield
    finally:
        for layer in layers:
            layer.trainable = True
