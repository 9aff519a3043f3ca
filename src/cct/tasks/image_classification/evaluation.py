"""Image classification: the cost of a prediction, and where the model looked."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.cost import model_cost
from cct.tasks.image_classification.attention import image_attention

if TYPE_CHECKING:
    import keras


def macs(params: ModelParams, meta: Mapping[str, Any]) -> int:
    """Multiply-adds of one image, as `cct models` counts them."""
    height, width, channels = meta["image_shape"]
    size = {"height": height, "width": width, "channels": channels, "classes": len(meta["classes"])}
    return model_cost(resolve_architecture(params), **size).macs


def relevance(model: "keras.Model", images_bhwc: np.ndarray) -> np.ndarray:
    """The share of each place of the images in the model's output, (b, rows, columns), float32."""
    return image_attention(model, images_bhwc).rollout_blhw[:, 0]
