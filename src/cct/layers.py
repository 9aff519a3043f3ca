"""Compact Convolutional Transformer layers, for every Keras 3 backend.

Source: Hassani et al., arXiv:2104.05704, and the authors' code. Shapes: b pictures, h x w pixels, c channels, n tokens
of width d, e heads of width k.
"""

from typing import Any

import keras
import numpy as np
from keras import ops


class CCTLayer(keras.layers.Layer):
    """A layer whose `get_config` is its constructor's arguments, each kept as the attribute of that name."""

    arguments: tuple[str, ...] = ()

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {name: getattr(self, name) for name in self.arguments}


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
        fans: for Keras's initial weights, the sum of inputs and outputs that Glorot's rule takes, where it is not the
            layer's own.
    """
    if initialization == "paper":
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


@keras.saving.register_keras_serializable(package="cct")
class Standardize(CCTLayer):
    """Raw pictures, (b, h, w, c) of 0..255, to zero mean and unit deviation for each channel.

    Args:
        mean: for each channel, in units of 0..1.
        std: likewise.
    """

    arguments = ("mean", "std")

    def __init__(self, mean: list[float], std: list[float], **kwargs) -> None:
        super().__init__(**kwargs)
        self.mean, self.std = list(mean), list(std)

    def call(self, images_bhwc):
        scale = 1.0 / (255.0 * np.asarray(self.std, "float32"))
        shift = -np.asarray(self.mean, "float32") / np.asarray(self.std, "float32")
        x = ops.cast(images_bhwc, "float32")
        return ops.cast(x * scale + shift, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="cct")
class ConvTokenizer(CCTLayer):
    """Convolution, ReLU, max-pooling 3x3 with stride 2, `len(widths)` times; then a token for each place, row by row.

    Args:
        widths: channels of each convolution; the last is the width of the tokens.
        kernel: size of the convolutions.
        stride: of the convolutions.
        padding: "same": symmetric, `kernel // 2`; "valid": none, as in the Keras example, which also pools "same".
        use_bias: of the convolutions.
    """

    arguments = ("widths", "kernel", "stride", "padding", "use_bias", "initialization")

    def __init__(
        self,
        widths: list[int],
        *,
        kernel: int = 3,
        stride: int = 1,
        padding: str = "same",
        use_bias: bool = False,
        initialization: str = "paper",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.widths, self.kernel, self.stride, self.padding = list(widths), kernel, stride, padding
        self.use_bias, self.initialization = use_bias, initialization

    def build(self, input_shape) -> None:
        # PyTorch's kaiming_normal_ is not truncated, Keras's he_normal is.
        distribution = "untruncated_normal" if self.initialization == "paper" else "truncated_normal"
        self.convolutions = []
        for i, width in enumerate(self.widths):
            convolution = keras.layers.Conv2D(
                width,
                self.kernel,
                strides=self.stride,
                # With an odd kernel and stride 1 "same" is symmetric; with a stride it is not, so pad by hand.
                padding="same" if self.padding == "same" and self.stride == 1 else "valid",
                use_bias=self.use_bias,
                activation="relu",
                kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_in", distribution),
                data_format="channels_last",
                dtype=self.dtype_policy,
                name=f"convolution_{i}",
            )
            # Sides are left open: Keras would refuse a picture smaller than the kernel, and it is padded first.
            convolution.build((None, None, None, self.widths[i - 1] if i else input_shape[-1]))
            self.convolutions.append(convolution)

    def call(self, images_bhwc):
        x = images_bhwc
        margin = max(1, self.kernel // 2)
        for convolution in self.convolutions:
            if self.padding == "same" and convolution.padding == "valid":
                x = ops.pad(x, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
            x = convolution(x)
            # Zeros pad as well as minus infinity would: nothing is below zero after the ReLU.
            x = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
            x = ops.max_pool(
                x, 3, strides=2, padding="valid" if self.padding == "same" else "same", data_format="channels_last"
            )
        return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))


@keras.saving.register_keras_serializable(package="cct")
class PatchTokenizer(CCTLayer):
    """Pictures of (b, h, w, c) to a token for each square patch, row by row, by one linear map with bias."""

    arguments = ("width", "patch", "initialization")

    def __init__(self, width: int, patch: int, *, initialization: str = "paper", **kwargs) -> None:
        super().__init__(**kwargs)
        self.width, self.patch, self.initialization = width, patch, initialization

    def build(self, input_shape) -> None:
        distribution = "untruncated_normal" if self.initialization == "paper" else "truncated_normal"
        self.projection = keras.layers.Conv2D(
            self.width,
            self.patch,
            strides=self.patch,
            kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_in", distribution),
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="projection",
        )
        self.projection.build(input_shape)

    def call(self, images_bhwc):
        x = self.projection(images_bhwc)
        return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))


@keras.saving.register_keras_serializable(package="cct")
class ClassToken(CCTLayer):
    """Puts one trained token before the others: (b, n, d) to (b, n + 1, d)."""

    def build(self, input_shape) -> None:
        self.token = self.add_weight(shape=(1, 1, input_shape[-1]), initializer="zeros", name="token")

    def call(self, tokens_bnd):
        token = ops.broadcast_to(
            ops.cast(self.token, tokens_bnd.dtype), (ops.shape(tokens_bnd)[0], 1, tokens_bnd.shape[-1])
        )
        return ops.concatenate([token, tokens_bnd], axis=1)


@keras.saving.register_keras_serializable(package="cct")
class FirstToken(CCTLayer):
    """Tokens of (b, n, d) to the first of them, (b, d)."""

    def call(self, tokens_bnd):
        return tokens_bnd[:, 0]


@keras.saving.register_keras_serializable(package="cct")
class Positions(CCTLayer):
    """Adds to each token, of (b, n, d), what says where it stands.

    Args:
        kind: "learnable": a trained table; "sinusoidal": sines and cosines in alternate dimensions.
    """

    arguments = ("kind", "initialization")

    def __init__(self, kind: str = "learnable", *, initialization: str = "paper", **kwargs) -> None:
        super().__init__(**kwargs)
        self.kind, self.initialization = kind, initialization

    def build(self, input_shape) -> None:
        if self.kind == "learnable":
            paper = self.initialization == "paper"
            initializer = keras.initializers.RandomNormal(stddev=0.2) if paper else "uniform"
            self.table = self.add_weight(shape=(1, *input_shape[1:]), initializer=initializer, name="table")

    def call(self, tokens_bnd):
        if self.kind == "learnable":
            return tokens_bnd + ops.cast(self.table, tokens_bnd.dtype)
        return tokens_bnd + ops.cast(sinusoids(*tokens_bnd.shape[1:]), tokens_bnd.dtype)


def sinusoids(count: int, width: int) -> np.ndarray:
    """Table of (1, count, width), float32: sine in even dimensions, cosine in odd ones (Vaswani et al., 2017)."""
    dimension = np.arange(width)
    angle = np.arange(count)[:, None] / 10000.0 ** (2 * (dimension // 2) / width)
    return np.where(dimension % 2, np.cos(angle), np.sin(angle)).astype("float32")[None]


@keras.saving.register_keras_serializable(package="cct")
class StochasticDepth(CCTLayer):
    """Drops a residual branch, of (b, ...), for whole pictures at random in training, each layer by its own draws.

    Huang et al., arXiv:1603.09382. The branch is scaled by 1 / (1 - rate) where it is kept.
    """

    arguments = ("rate", "seed")

    def __init__(self, rate: float, *, seed: int | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.rate, self.seed = rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, branch, training: bool = False):
        if not training or not self.rate:
            return branch
        shape = (ops.shape(branch)[0], *[1] * (len(branch.shape) - 1))
        kept = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator) >= self.rate
        return branch * ops.cast(ops.where(kept, 1 / (1 - self.rate), 0.0), branch.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="cct")
class Attention(CCTLayer):
    """Self-attention over tokens of (b, n, d) with one projection to queries, keys and values.

    Where a head is as wide as the tokens, as in the Keras example, two of the four projections are folded into the
    others, which halves the multiplications for the same function: with x of (n, d), a head's scores are
    (x Q)(x K)^T = x (Q K^T) x^T and its output is A (x V) O = (A x) (V O), where the products of two matrices of
    weights cost next to nothing beside those with a batch of tokens.
    """

    arguments = ("heads", "head_width", "qkv_bias", "projection_dropout", "attention_dropout", "initialization")

    def __init__(
        self,
        heads: int,
        head_width: int,
        *,
        qkv_bias: bool = False,
        projection_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        initialization: str = "paper",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.head_width, self.qkv_bias = heads, head_width, qkv_bias
        self.projection_dropout, self.attention_dropout = projection_dropout, attention_dropout
        self.initialization = initialization

    def build(self, input_shape) -> None:
        width, inner = input_shape[-1], self.heads * self.head_width
        options = {"initialization": self.initialization, "dtype": self.dtype_policy}
        # Glorot's rule for each of the three, as in Keras's MultiHeadAttention, not for all of them at once.
        self.qkv = dense(3 * inner, use_bias=self.qkv_bias, fans=width + inner, name="qkv", **options)
        self.qkv.build(input_shape)
        self.projection = dense(width, name="projection", **options)
        self.projection.build((*input_shape[:-1], inner))
        self.drop_weights = keras.layers.Dropout(self.attention_dropout, dtype=self.dtype_policy)
        self.drop_output = keras.layers.Dropout(self.projection_dropout, dtype=self.dtype_policy)

    def call(self, tokens_bnd, training: bool = False):
        fold = self.head_width >= tokens_bnd.shape[-1]
        output = (self._folded if fold else self._textbook)(tokens_bnd, training and self.attention_dropout > 0)
        return self.drop_output(output, training=training)

    def _textbook(self, tokens_bnd, drop: bool):
        n = tokens_bnd.shape[1]
        qkv = ops.reshape(self.qkv(tokens_bnd), (-1, n, 3 * self.heads, self.head_width))
        query_bnek, key_bnek, value_bnek = ops.split(qkv, 3, axis=2)
        if drop:
            logits = ops.einsum("bnek,bmek->benm", query_bnek * self.head_width**-0.5, key_bnek)
            weights = ops.cast(ops.softmax(ops.cast(logits, "float32")), self.compute_dtype)
            mixed_bnek = ops.einsum("benm,bmek->bnek", self.drop_weights(weights, training=True), value_bnek)
        else:
            mixed_bnek = ops.dot_product_attention(query_bnek, key_bnek, value_bnek)
        return self.projection(ops.reshape(mixed_bnek, (-1, n, self.heads * self.head_width)))

    def _folded(self, tokens_bnd, drop: bool):
        n, d = tokens_bnd.shape[1:]
        e, k = self.heads, self.head_width
        query_dek, key_dek, value_dek = ops.split(ops.reshape(self.qkv.kernel, (d, 3 * e, k)), 3, axis=1)
        output_ekd = ops.reshape(self.projection.kernel, (e, k, d))
        scores_ded = ops.einsum("dek,fek->def", query_dek * k**-0.5, key_dek)
        outputs_edd = ops.einsum("dek,ekf->edf", value_dek, output_ekd)

        half = ops.matmul(tokens_bnd, ops.reshape(scores_ded, (d, e * d)))
        if self.qkv_bias:
            query_ek, _, value_ek = ops.split(ops.reshape(self.qkv.bias, (3 * e, k)), 3, axis=0)
            # The keys' biases add the same to all scores of a query, which the softmax does not see.
            half = half + ops.reshape(ops.einsum("ek,fek->ef", query_ek * k**-0.5, key_dek), (e * d,))
        logits = ops.matmul(ops.reshape(half, (-1, n * e, d)), ops.transpose(tokens_bnd, (0, 2, 1)))
        weights_bnm = ops.cast(ops.softmax(ops.cast(logits, "float32")), self.compute_dtype)  # n * e rows
        if drop:
            weights_bnm = self.drop_weights(weights_bnm, training=True)
        mixed = ops.reshape(ops.matmul(weights_bnm, tokens_bnd), (-1, n, e * d))
        output = ops.matmul(mixed, ops.reshape(outputs_edd, (e * d, d))) + self.projection.bias
        if self.qkv_bias:
            bias_ed = ops.einsum("ek,ekd->ed", value_ek, output_ekd)
            if drop:  # what is left of a query's weights does not sum to one
                sums_bne = ops.reshape(ops.sum(weights_bnm, axis=-1), (-1, n, e))
                output = output + ops.matmul(sums_bne, bias_ed)
            else:
                output = output + ops.sum(bias_ed, axis=0)
        return output

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="cct")
class EncoderBlock(CCTLayer):
    """One transformer layer on tokens of (b, n, d).

    Args:
        norm: "stream": the second norm replaces the stream, as in the authors' code; "pre": it feeds the MLP only.
        mlp: "linear": hidden GELU layer, then a linear one; "gelu": both are GELU layers with dropout.
        stochastic_depth: rate at which this layer's two branches are dropped.
    """

    arguments = (
        "heads",
        "head_width",
        "hidden",
        "norm",
        "mlp",
        "qkv_bias",
        "dropout",
        "projection_dropout",
        "attention_dropout",
        "stochastic_depth",
        "epsilon",
        "initialization",
    )

    def __init__(
        self,
        heads: int,
        head_width: int,
        hidden: int,
        *,
        norm: str = "stream",
        mlp: str = "linear",
        qkv_bias: bool = False,
        dropout: float = 0.0,
        projection_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        epsilon: float = 1e-5,
        initialization: str = "paper",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.head_width, self.hidden, self.norm, self.mlp = heads, head_width, hidden, norm, mlp
        self.qkv_bias, self.dropout, self.projection_dropout = qkv_bias, dropout, projection_dropout
        self.attention_dropout = attention_dropout
        self.stochastic_depth, self.epsilon, self.initialization = stochastic_depth, epsilon, initialization

    def build(self, input_shape) -> None:
        policy = self.dtype_policy
        options = {"initialization": self.initialization, "dtype": policy}
        self.norm_1 = keras.layers.LayerNormalization(epsilon=self.epsilon, dtype=policy, name="norm_1")
        self.attention = Attention(
            self.heads,
            self.head_width,
            qkv_bias=self.qkv_bias,
            projection_dropout=self.projection_dropout,
            attention_dropout=self.attention_dropout,
            name="attention",
            **options,
        )
        self.norm_2 = keras.layers.LayerNormalization(epsilon=self.epsilon, dtype=policy, name="norm_2")
        self.dense_1 = dense(self.hidden, activation=gelu, name="dense_1", **options)
        self.dense_2 = dense(
            input_shape[-1], activation=gelu if self.mlp == "gelu" else None, name="dense_2", **options
        )
        for layer in (self.norm_1, self.attention, self.norm_2, self.dense_1):
            layer.build(input_shape)
        self.dense_2.build((*input_shape[:-1], self.hidden))
        self.drop_1 = keras.layers.Dropout(self.dropout, dtype=policy)
        self.drop_2 = keras.layers.Dropout(self.dropout, dtype=policy)
        self.depth_1 = StochasticDepth(self.stochastic_depth, dtype=policy)
        self.depth_2 = StochasticDepth(self.stochastic_depth, dtype=policy)

    def call(self, tokens_bnd, training: bool = False):
        x = tokens_bnd
        x = x + self.depth_1(self.attention(self.norm_1(x), training=training), training=training)
        normed = self.norm_2(x)
        if self.norm == "stream":
            x = normed
        branch = self.drop_1(self.dense_1(normed), training=training)
        branch = self.drop_2(self.dense_2(branch), training=training)
        return x + self.depth_2(branch, training=training)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="cct")
class SequencePool(CCTLayer):
    """Tokens of (b, n, d) to one of (b, d): their mean under weights that a linear layer and a softmax give."""

    arguments = ("initialization",)

    def __init__(self, *, initialization: str = "paper", **kwargs) -> None:
        super().__init__(**kwargs)
        self.initialization = initialization

    def build(self, input_shape) -> None:
        self.score = dense(1, initialization=self.initialization, dtype=self.dtype_policy, name="score")
        self.score.build(input_shape)

    def call(self, tokens_bnd):
        weights_bn1 = ops.softmax(ops.cast(self.score(tokens_bnd), "float32"), axis=1)
        return ops.sum(ops.cast(weights_bn1, tokens_bnd.dtype) * tokens_bnd, axis=1)
