"""Text classification: the cost of a prediction."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cct.models.architectures import ModelParams, resolve_text_architecture
from cct.models.text_cost import text_cost

if TYPE_CHECKING:
    import keras


def macs(params: ModelParams, meta: Mapping[str, Any], model: "keras.Model") -> int:
    """Multiply-adds of one text, as `cct models --texts` counts them.

    The model has the width of its pretrained vectors: their file is none of `evaluate`'s.
    """
    architecture = resolve_text_architecture(params, word_dim=model.get_layer("embedding").word_dim)
    return text_cost(architecture, length=meta["max_length"], classes=len(meta["classes"])).macs
