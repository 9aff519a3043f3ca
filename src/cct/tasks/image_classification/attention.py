"""Image classification: where in the images a model looked."""

from typing import NamedTuple

import keras
import numpy as np

from cct.evaluation.attention import attention_maps


class ImageAttention(NamedTuple):
    """The shares of `cct.evaluation.attention.AttentionMaps` at the places of their tokens in the image.

    Attributes:
        rollout_blhw: of the tokens that enter each layer, (b, layers, rows, columns).
        pooling_bhw: of the tokens that leave the last one, (b, rows, columns). None without sequence pooling.
    """

    rollout_blhw: np.ndarray
    pooling_bhw: np.ndarray | None

    def titled(self) -> list[tuple[str, np.ndarray]]:
        """All shares (b, rows, columns) with their titles, in the order of the layers."""
        layers = [(f"layer {i + 1}", self.rollout_blhw[:, i]) for i in range(self.rollout_blhw.shape[1])]
        return layers if self.pooling_bhw is None else [*layers, ("pooling", self.pooling_bhw)]


def image_attention(model: keras.Model, images_bhwc: np.ndarray) -> ImageAttention:
    """Where the model looked in each of b images, which are its inputs."""
    maps = attention_maps(model, images_bhwc)
    rows, columns = _token_grid(model)
    b, layers, _ = maps.rollout_bln.shape
    pooling_bhw = None if maps.pooling_bn is None else maps.pooling_bn.reshape(b, rows, columns)
    return ImageAttention(maps.rollout_bln.reshape(b, layers, rows, columns), pooling_bhw)


def _token_grid(model: keras.Model) -> tuple[int, int]:
    tokenizer = model.get_layer("tokenizer")
    _, rows, columns, _ = tokenizer.feature_maps(keras.ops.zeros((1, *tokenizer.input.shape[1:]))).shape
    return rows, columns
