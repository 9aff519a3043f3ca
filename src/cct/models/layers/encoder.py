"""The transformer encoder's block."""

import keras
from keras import ops

from cct.models.layers import many_tokens
from cct.models.layers.base import CCTLayer, dense, masked, one_of
from cct.models.layers.fast import Dropout, LayerNorm, gelu


@keras.saving.register_keras_serializable(package="cct")
class StochasticDepth(CCTLayer):
    """Drops a residual branch (b, ...) for whole examples, at random, in training. Each layer samples on its own.

    Source: Huang et al., arXiv:1603.09382. A branch that is not dropped is scaled by 1 / (1 - rate).
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
    """Self-attention over tokens (b, n, d) with one projection to queries, keys and values.

    If a head is at least as wide as the tokens, two of the four projections are folded into the others. The Keras
    example is such a model. With x of (n, d), a head's scores are (x Q)(x K)^T = x (Q K^T) x^T. Its output is
    A (x V) O = (A x) (V O). A product of two weight matrices is much cheaper than a product with a batch of tokens. So
    folding halves the multiplications. The function is the same.

    With a mask (b, n), no token attends to one that does not count. Those that do not count get values of no meaning.
    """

    arguments = ("num_heads", "head_dim", "qkv_bias", "projection_dropout", "attention_dropout", "initialization")

    def __init__(
        self,
        num_heads: int,
        head_dim: int,
        *,
        qkv_bias: bool = False,
        projection_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        initialization: str = "paper",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads, self.head_dim, self.qkv_bias = num_heads, head_dim, qkv_bias
        self.projection_dropout, self.attention_dropout = projection_dropout, attention_dropout
        self.initialization = initialization

    def build(self, input_shape) -> None:
        width, inner = input_shape[-1], self.num_heads * self.head_dim
        options = {"initialization": self.initialization, "dtype": self.dtype_policy}
        # Glorot's rule for each of the three, as in Keras's MultiHeadAttention, not for all three together.
        self.qkv = dense(3 * inner, use_bias=self.qkv_bias, fans=width + inner, name="qkv", **options)
        self.qkv.build(input_shape)
        self.projection = dense(width, name="projection", **options)
        self.projection.build((*input_shape[:-1], inner))
        self.drop_weights = Dropout(self.attention_dropout, dtype=self.dtype_policy)
        self.drop_output = Dropout(self.projection_dropout, dtype=self.dtype_policy)

    def call(self, tokens_bnd, valid_bn=None, training: bool = False):
        attend = self._folded if self.head_dim >= tokens_bnd.shape[-1] else self._textbook
        output = attend(tokens_bnd, valid_bn, training)
        return self.drop_output(output, training=training)

    def attention_weights(self, tokens_bnd, valid_bn=None):
        """How much each token attends to each other one, without dropout: (b, heads, n, n), float32. Rows sum to 1."""
        query_bnek, key_bnek, _ = self._queries_keys_values(tokens_bnd)
        logits = ops.cast(ops.einsum("bnek,bmek->benm", query_bnek * self.head_dim**-0.5, key_bnek), "float32")
        return ops.softmax(logits if valid_bn is None else masked(logits, valid_bn[:, None, None, :]))

    def _queries_keys_values(self, tokens_bnd):
        """Three of (b, n, heads, head_dim)."""
        shape = (-1, tokens_bnd.shape[1], 3 * self.num_heads, self.head_dim)
        return ops.split(ops.reshape(self.qkv(tokens_bnd), shape), 3, axis=2)

    def _textbook(self, tokens_bnd, valid_bn, training: bool):
        n = tokens_bnd.shape[1]
        query_bnek, key_bnek, value_bnek = self._queries_keys_values(tokens_bnd)
        if many_tokens.in_parts(n, training):
            mixed_bnek = self._mix_in_parts(query_bnek, key_bnek, value_bnek, valid_bn)
        elif training and self.attention_dropout > 0:
            mixed_bnek = self.mix(query_bnek, key_bnek, value_bnek, valid_bn)
        else:
            mask = None if valid_bn is None else valid_bn[:, None, None, :]
            mixed_bnek = ops.dot_product_attention(query_bnek, key_bnek, value_bnek, mask=mask)
        return self.projection(ops.reshape(mixed_bnek, (-1, n, self.num_heads * self.head_dim)))

    def mix(self, query_bnek, key_bnek, value_bnek, valid_bn=None):
        """The values mixed by their weights with dropout, (b, n, heads, head_dim)."""
        logits = ops.einsum("bnek,bmek->benm", query_bnek * self.head_dim**-0.5, key_bnek)
        weights = self._softmax(logits, None if valid_bn is None else valid_bn[:, None, None, :])
        return ops.einsum("benm,bmek->bnek", self.drop_weights(weights, training=True), value_bnek)

    def _mix_in_parts(self, query_bnek, key_bnek, value_bnek, valid_bn):
        """As `mix`, without all weights in memory."""
        parts_benk = (
            ops.transpose(one, (0, 2, 1, 3)) for one in (query_bnek * self.head_dim**-0.5, key_bnek, value_bnek)
        )
        rate = self.attention_dropout
        seed = ops.cast(self.drop_weights.seed_generator.next(), "int32") if rate else None
        mixed_benk = many_tokens.attend(*parts_benk, valid_bn, rate=rate, seed=seed)
        return ops.transpose(mixed_benk, (0, 2, 1, 3))

    def _softmax(self, logits, valid):
        """The weights of attention, in float32 until they are done."""
        scores = ops.cast(logits, "float32")
        return ops.cast(ops.softmax(scores if valid is None else masked(scores, valid)), self.compute_dtype)

    def _folded(self, tokens_bnd, valid_bn, training: bool):
        n, d = tokens_bnd.shape[1:]
        drop = training and self.attention_dropout > 0
        e, k = self.num_heads, self.head_dim
        query_dek, key_dek, value_dek = ops.split(ops.reshape(self.qkv.kernel, (d, 3 * e, k)), 3, axis=1)
        output_ekd = ops.reshape(self.projection.kernel, (e, k, d))
        scores_ded = ops.einsum("dek,fek->def", query_dek * k**-0.5, key_dek)
        outputs_edd = ops.einsum("dek,ekf->edf", value_dek, output_ekd)

        half = ops.matmul(tokens_bnd, ops.reshape(scores_ded, (d, e * d)))
        if self.qkv_bias:
            query_ek, _, value_ek = ops.split(ops.reshape(self.qkv.bias, (3 * e, k)), 3, axis=0)
            # The keys' biases add the same value to all scores of a query. The softmax ignores it.
            half = half + ops.reshape(ops.einsum("ek,fek->ef", query_ek * k**-0.5, key_dek), (e * d,))
        logits = ops.matmul(ops.reshape(half, (-1, n * e, d)), ops.transpose(tokens_bnd, (0, 2, 1)))
        weights_bnm = self._softmax(logits, None if valid_bn is None else valid_bn[:, None, :])  # n * e rows
        if drop:
            weights_bnm = self.drop_weights(weights_bnm, training=True)
        mixed = ops.reshape(ops.matmul(weights_bnm, tokens_bnd), (-1, n, e * d))
        output = ops.matmul(mixed, ops.reshape(outputs_edd, (e * d, d))) + self.projection.bias
        if self.qkv_bias:
            bias_ed = ops.einsum("ek,ekd->ed", value_ek, output_ekd)
            if drop:  # after dropout, a query's weights do not sum to one
                sums_bne = ops.reshape(ops.sum(weights_bnm, axis=-1), (-1, n, e))
                output = output + ops.matmul(sums_bne, bias_ed)
            else:
                output = output + ops.sum(bias_ed, axis=0)
        return output

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="cct")
class EncoderBlock(CCTLayer):
    """One transformer layer on tokens (b, n, d), with a mask (b, n) where some do not count.

    Args:
        norm: "stream": the second norm replaces the stream, as in the authors' code. "pre": it feeds the MLP only.
        mlp_output: "linear": a hidden GELU layer, then a linear layer. "gelu": two GELU layers with dropout.
        stochastic_depth: rate at which this layer's two branches are dropped.
    """

    arguments = (
        "num_heads",
        "head_dim",
        "hidden_dim",
        "norm",
        "mlp_output",
        "qkv_bias",
        "dropout",
        "projection_dropout",
        "attention_dropout",
        "stochastic_depth",
        "layer_norm_epsilon",
        "initialization",
    )

    def __init__(
        self,
        num_heads: int,
        head_dim: int,
        hidden_dim: int,
        *,
        norm: str = "stream",
        mlp_output: str = "linear",
        qkv_bias: bool = False,
        dropout: float = 0.0,
        projection_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        layer_norm_epsilon: float = 1e-5,
        initialization: str = "paper",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads, self.head_dim, self.hidden_dim = num_heads, head_dim, hidden_dim
        self.norm = one_of("norm", norm, ("stream", "pre"))
        self.mlp_output = one_of("mlp_output", mlp_output, ("linear", "gelu"))
        self.qkv_bias, self.dropout, self.projection_dropout = qkv_bias, dropout, projection_dropout
        self.attention_dropout = attention_dropout
        self.stochastic_depth, self.initialization = stochastic_depth, initialization
        self.layer_norm_epsilon = layer_norm_epsilon

    def build(self, input_shape) -> None:
        policy = self.dtype_policy
        options = {"initialization": self.initialization, "dtype": policy}
        self.norm_1 = LayerNorm(epsilon=self.layer_norm_epsilon, dtype=policy, name="norm_1")
        self.attention = Attention(
            self.num_heads,
            self.head_dim,
            qkv_bias=self.qkv_bias,
            projection_dropout=self.projection_dropout,
            attention_dropout=self.attention_dropout,
            name="attention",
            **options,
        )
        self.norm_2 = LayerNorm(epsilon=self.layer_norm_epsilon, dtype=policy, name="norm_2")
        self.dense_1 = dense(self.hidden_dim, name="dense_1", **options)
        self.dense_2 = dense(input_shape[-1], name="dense_2", **options)
        for layer in (self.norm_1, self.attention, self.norm_2, self.dense_1):
            layer.build(input_shape)
        self.dense_2.build((*input_shape[:-1], self.hidden_dim))
        self.drop_1 = Dropout(self.dropout, dtype=policy)
        self.drop_2 = Dropout(self.dropout, dtype=policy)
        self.depth_1 = StochasticDepth(self.stochastic_depth, dtype=policy)
        self.depth_2 = StochasticDepth(self.stochastic_depth, dtype=policy)

    def call(self, tokens_bnd, valid_bn=None, training: bool = False):
        x = tokens_bnd
        x = x + self.depth_1(
            self.attention(self.norm_1(x, training=training), valid_bn, training=training), training=training
        )
        normed = self.norm_2(x, training=training)
        if self.norm == "stream":
            x = normed
        branch = self.drop_1(gelu(self.dense_1(normed), training), training=training)
        branch = self.dense_2(branch)
        if self.mlp_output == "gelu":
            branch = gelu(branch, training)
        return x + self.depth_2(self.drop_2(branch, training=training), training=training)

    def compute_output_shape(self, input_shape):
        return input_shape
