"""Text classification: which words a model looked at."""

from typing import NamedTuple

import keras
import numpy as np

from cct.evaluation.attention import attention_maps
from cct.models.layers.words import WordConvTokenizer, WordPatchTokenizer
from cct.words import PADDING


class WordAttention(NamedTuple):
    """The shares of `cct.evaluation.attention.AttentionMaps` at the words of their tokens. Padding has none.

    Attributes:
        rollout_bln: of the tokens that enter each layer, (b, layers, length).
        pooling_bn: of the tokens that leave the last one, (b, length). None without sequence pooling.
    """

    rollout_bln: np.ndarray
    pooling_bn: np.ndarray | None

    def titled(self) -> list[tuple[str, np.ndarray]]:
        """All shares (b, length) with their titles, in the order of the layers."""
        layers = [(f"layer {i + 1}", self.rollout_bln[:, i]) for i in range(self.rollout_bln.shape[1])]
        return layers if self.pooling_bn is None else [*layers, ("pooling", self.pooling_bn)]


def word_attention(model: keras.Model, words_bn: np.ndarray) -> WordAttention:
    """Which words the model looked at in each of b texts, which are its inputs.

    A token of several words has its share in equal parts from them.
    """
    maps, covers_mn = attention_maps(model, words_bn), _covers(model, words_bn.shape[1]).astype(np.float32)
    valid_bn = (words_bn != PADDING).astype(np.float32)
    words_bm = np.maximum(valid_bn @ covers_mn.T, 1)  # of each token

    def of_words(share_bm: np.ndarray) -> np.ndarray:
        return ((share_bm / words_bm) @ covers_mn) * valid_bn

    rollout_bln = np.stack([of_words(share_bm) for share_bm in maps.rollout_bln.swapaxes(0, 1)], axis=1)
    return WordAttention(rollout_bln, None if maps.pooling_bn is None else of_words(maps.pooling_bn))


def _covers(model: keras.Model, length: int) -> np.ndarray:
    """Whether each of m tokens is made of each of n words."""
    tokenizer = next((layer for layer in model.layers if layer.name == "tokenizer"), None)
    place_n = np.arange(length)
    if isinstance(tokenizer, WordPatchTokenizer):
        return np.arange(length // tokenizer.patch_size)[:, None] == place_n // tokenizer.patch_size
    if not isinstance(tokenizer, WordConvTokenizer):
        return np.eye(length, dtype=bool)
    t = tokenizer
    count = (length + 2 * t.padding - t.kernel_size) // t.stride + 1
    # A token is the larger of two neighbouring convolutions; the first and the last have one neighbour only.
    start_m = t.stride * np.maximum(2 * np.arange(count // 2 + 1) - 1, 0) - t.padding
    end_m = t.stride * np.minimum(2 * np.arange(count // 2 + 1), count - 1) - t.padding + t.kernel_size
    return (start_m[:, None] <= place_n) & (place_n < end_m[:, None])
