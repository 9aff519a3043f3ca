"""Text classification: the cost of a prediction, and which words the model looked at."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cct.data.store import word_dim
from cct.models.architectures import ModelParams, resolve_text_architecture
from cct.models.text_cost import text_cost
from cct.tasks.text_classification.attention import word_attention

if TYPE_CHECKING:
    import keras


def macs(params: ModelParams, meta: Mapping[str, Any]) -> int:
    """Multiply-adds of one text, as `cct models --texts` counts them."""
    architecture = resolve_text_architecture(params, word_dim=word_dim(meta))
    return text_cost(architecture, length=meta["max_length"], classes=len(meta["classes"])).macs


def relevance(model: "keras.Model", words_bn: np.ndarray) -> np.ndarray:
    """The share of each word of the texts in the model's output, (b, length), float32."""
    return word_attention(model, words_bn).rollout_bln[:, 0]
