"""Image classification: the cost of a prediction."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.cost import model_cost

if TYPE_CHECKING:
    import keras


def macs(params: ModelParams, meta: Mapping[str, Any], model: "keras.Model") -> int:
    """Multiply-adds of one image, as `cct models` counts them."""
    height, width, channels = meta["image_shape"]
    size = {"height": height, "width": width, "channels": channels, "classes": len(meta["classes"])}
    return model_cost(resolve_architecture(params), **size).macs
