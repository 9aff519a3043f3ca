"""Positions, class tokens and pooling."""

import keras
import numpy as np
from keras import ops

from cct.models.layers.base import INITIALIZATIONS, CCTLayer, dense, masked, one_of


@keras.saving.register_keras_serializable(package="cct")
class ClassToken(CCTLayer):
    """Puts one trained token before the others: (b, n, d) to (b, n + 1, d). With a mask (b, n), it returns both."""

    def build(self, input_shape) -> None:
        self.token = self.add_weight(shape=(1, 1, input_shape[-1]), initializer="zeros", name="token")

    def call(self, tokens_bnd, valid_bn=None):
        token = ops.broadcast_to(
            ops.cast(self.token, tokens_bnd.dtype), (ops.shape(tokens_bnd)[0], 1, tokens_bnd.shape[-1])
        )
        tokens = ops.concatenate([token, tokens_bnd], axis=1)
        if valid_bn is None:
            return tokens
        return tokens, ops.concatenate([ops.ones_like(valid_bn[:, :1]), valid_bn], axis=1)


@keras.saving.register_keras_serializable(package="cct")
class FirstToken(CCTLayer):
    """Takes the first token: (b, n, d) to (b, d)."""

    def call(self, tokens_bnd):
        return tokens_bnd[:, 0]


@keras.saving.register_keras_serializable(package="cct")
class PositionalEmbedding(CCTLayer):
    """Adds a position embedding to each of the tokens (b, n, d).

    Args:
        kind: "learnable": a trained table. "sinusoidal": sines and cosines in alternate dimensions.
    """

    arguments = ("kind", "initialization")

    def __init__(self, kind: str = "learnable", *, initialization: str = "paper", **kwargs) -> None:
        super().__init__(**kwargs)
        self.kind = one_of("kind", kind, ("learnable", "sinusoidal"))
        self.initialization = one_of("initialization", initialization, INITIALIZATIONS)

    def build(self, input_shape) -> None:
        if self.kind == "learnable":
            paper = self.initialization == "paper"
            initializer = keras.initializers.RandomNormal(stddev=0.2) if paper else "uniform"
            self.table = self.add_weight(shape=(1, *input_shape[1:]), initializer=initializer, name="table")

    def call(self, tokens_bnd):
        if self.kind == "learnable":
            return tokens_bnd + ops.cast(self.table, tokens_bnd.dtype)
        return tokens_bnd + ops.cast(sinusoidal_table(*tokens_bnd.shape[1:]), tokens_bnd.dtype)


def sinusoidal_table(count: int, width: int) -> np.ndarray:
    """Table (1, count, width), float32: sine in even dimensions, cosine in odd ones (Vaswani et al., 2017)."""
    dimension = np.arange(width)
    angle = np.arange(count)[:, None] / 10000.0 ** (2 * (dimension // 2) / width)
    return np.where(dimension % 2, np.cos(angle), np.sin(angle)).astype("float32")[None]


@keras.saving.register_keras_serializable(package="cct")
class SequencePool(CCTLayer):
    """Pools tokens (b, n, d) to their weighted mean (b, d). A linear layer and a softmax give the weights.

    With a mask (b, n), the other tokens have no weight.
    """

    arguments = ("initialization",)

    def __init__(self, *, initialization: str = "paper", **kwargs) -> None:
        super().__init__(**kwargs)
        self.initialization = initialization

    def build(self, input_shape) -> None:
        self.score = dense(1, initialization=self.initialization, dtype=self.dtype_policy, name="score")
        self.score.build(input_shape)

    def pooling_weights(self, tokens_bnd, valid_bn=None):
        """The share of each token in the mean: (b, n, 1), float32. They sum to 1."""
        scores_bn1 = ops.cast(self.score(tokens_bnd), "float32")
        return ops.softmax(scores_bn1 if valid_bn is None else masked(scores_bn1, valid_bn[:, :, None]), axis=1)

    def call(self, tokens_bnd, valid_bn=None):
        weights_bn1 = ops.cast(self.pooling_weights(tokens_bnd, valid_bn), tokens_bnd.dtype)
        return ops.sum(weights_bn1 * tokens_bnd, axis=1)
