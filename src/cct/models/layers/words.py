"""Layers from token ids to the encoder's tokens. A mask says which places have a word, and goes through every layer.

Source: Hassani et al., arXiv:2104.05704, and `src/text` of the authors' repository.
"""

import keras
from keras import ops

from cct.models.layers.base import INITIALIZATIONS, CCTLayer, he_normal, one_of, require
from cct.words import MOST_WORDS, PADDING


@keras.saving.register_keras_serializable(package="cct")
class WordEmbedding(CCTLayer):
    """Turns token ids (b, n) into vectors (b, n, d) and a mask (b, n). Padding is zeros.

    In training it also applies MixUp (Guo et al., arXiv:1905.08941): a text becomes the weighted mean of its vectors
    and those of the text at the mirrored place of the batch. `cct.words.MOST_WORDS` says where the weight is.

    Args:
        vocabulary_size: number of different token ids, with those of padding and the unknown word.
        word_dim: width of a vector.
    """

    arguments = ("vocabulary_size", "word_dim")

    def __init__(self, vocabulary_size: int, word_dim: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.word_dim = vocabulary_size, word_dim

    def build(self, input_shape) -> None:
        # PyTorch's Embedding begins with a standard normal distribution.
        self.table = self.add_weight(
            shape=(self.vocabulary_size, self.word_dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="table",
        )

    def call(self, ids_bn, training: bool = False):
        if not training:
            valid_bn = ops.not_equal(ids_bn, PADDING)
            vectors_bnd = ops.cast(ops.take(self.table, ids_bn, axis=0), self.compute_dtype)
            return vectors_bnd * ops.cast(valid_bn, self.compute_dtype)[:, :, None], valid_bn
        # A product, so that the gradient is one dense array: norms and averages of optimizers need all of it.
        is_word_v1 = ops.cast(ops.arange(self.vocabulary_size) != PADDING, self.compute_dtype)[:, None]
        table_vd = ops.cast(self.table, self.compute_dtype) * is_word_v1
        weight_b11 = ops.cast(ops.floor_divide(ids_bn[:, :1], MOST_WORDS), self.compute_dtype)[:, :, None] / 256
        ids_bn = ops.mod(ids_bn, MOST_WORDS)
        vectors_bnd, valid_bn = ops.take(table_vd, ids_bn, axis=0), ops.not_equal(ids_bn, PADDING)
        mixed_bnd = (1 - weight_b11) * vectors_bnd + weight_b11 * ops.flip(vectors_bnd, axis=0)
        also_bn = ops.logical_and(ops.flip(valid_bn, axis=0), weight_b11[:, :, 0] > 0)
        return mixed_bnd, ops.logical_or(valid_bn, also_bn)


@keras.saving.register_keras_serializable(package="cct")
class WordConvTokenizer(CCTLayer):
    """Turns vectors (b, n, d) and their mask into tokens and theirs: convolution over words, ReLU, max-pooling.

    Pooling takes two places with stride 2. The mask goes through both. A convolution counts if it reaches a word, and
    also exists where the text fills its array: so more padding changes no answer.

    Args:
        channels: width of the tokens.
        kernel_size: words in a convolution.
        stride: words from one convolution to the next.
        padding: empty places before the first word and after the last, at least `kernel_size // 2`.
        use_bias: whether the convolution has biases.
    """

    arguments = ("channels", "kernel_size", "stride", "padding", "use_bias", "initialization")

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int = 1,
        stride: int = 1,
        padding: int = 1,
        use_bias: bool = False,
        initialization: str = "paper",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.channels, self.kernel_size, self.stride = channels, kernel_size, stride
        # With less, a text of one word would have no convolution.
        require(
            padding >= kernel_size // 2,
            f"padding = {padding}: must be at least {kernel_size // 2}, because kernel_size is {kernel_size}",
        )
        self.padding, self.use_bias = padding, use_bias
        self.initialization = one_of("initialization", initialization, INITIALIZATIONS)

    def build(self, input_shape) -> None:
        self.convolution = word_convolution(self, self.channels, self.kernel_size, self.stride, use_bias=self.use_bias)
        self.convolution.build((None, None, input_shape[-1]))

    def call(self, vectors_bnd, valid_bn):
        x = ops.relu(self.convolution(ops.pad(vectors_bnd, [[0, 0], [self.padding, self.padding], [0, 0]])))
        valid_bm = self._convolved(valid_bn, x.shape[1])
        x = x * ops.cast(valid_bm, x.dtype)[:, :, None]
        # Zeros pad as well as minus infinity would, because no value is below zero after the ReLU.
        x = ops.max_pool(ops.pad(x, [[0, 0], [1, 1], [0, 0]]), 2, strides=2, data_format="channels_last")
        counts_bm1 = ops.pad(ops.cast(valid_bm, "float32"), [[0, 0], [1, 1]])[:, :, None]
        return x, ops.max_pool(counts_bm1, 2, strides=2, data_format="channels_last")[:, :, 0] > 0

    def _convolved(self, valid_bn, count: int):
        """The mask (b, count) of the convolutions of a mask (b, n)."""
        n, margin = valid_bn.shape[1], self.padding
        padded = ops.pad(ops.cast(valid_bn, "float32"), [[0, 0], [margin, margin]])[:, :, None]
        reaches = ops.max_pool(padded, self.kernel_size, strides=self.stride, data_format="channels_last")[:, :, 0] > 0
        # In an array that ends with the text, a convolution stays within the margin. Its last place but the margin is
        # then in the text, or before it.
        before = 2 * margin - self.kernel_size + 1
        within = ops.pad(ops.cast(valid_bn, "float32"), [[0, 0], [before, 0]], constant_values=1.0) > 0
        return ops.logical_and(reaches, within[:, : before + n : self.stride][:, :count])


@keras.saving.register_keras_serializable(package="cct")
class WordPatchTokenizer(CCTLayer):
    """Turns each patch of vectors (b, n, d) into a token by one linear map. A patch counts if it has a word.

    Args:
        embed_dim: width of the tokens.
        patch_size: words in a patch; divides n.
    """

    arguments = ("embed_dim", "patch_size", "initialization")

    def __init__(self, embed_dim: int, patch_size: int, *, initialization: str = "paper", **kwargs) -> None:
        super().__init__(**kwargs)
        self.embed_dim, self.patch_size = embed_dim, patch_size
        self.initialization = one_of("initialization", initialization, INITIALIZATIONS)

    def build(self, input_shape) -> None:
        self.projection = word_convolution(self, self.embed_dim, self.patch_size, self.patch_size)
        self.projection.build((None, None, input_shape[-1]))

    def call(self, vectors_bnd, valid_bn):
        counts_bn1 = ops.cast(valid_bn, "float32")[:, :, None]
        size = self.patch_size
        valid_bm = ops.max_pool(counts_bn1, size, strides=size, data_format="channels_last")[:, :, 0] > 0
        x = self.projection(vectors_bnd)
        return x * ops.cast(valid_bm, x.dtype)[:, :, None], valid_bm


def word_convolution(layer: CCTLayer, channels: int, size: int, stride: int, *, use_bias: bool = False):
    """A convolution over words, with the initial weights that `layer.initialization` names."""
    return keras.layers.Conv1D(
        channels,
        size,
        strides=stride,
        use_bias=use_bias,
        kernel_initializer=he_normal(layer.initialization),
        data_format="channels_last",
        dtype=layer.dtype_policy,
        name="convolution",
    )
