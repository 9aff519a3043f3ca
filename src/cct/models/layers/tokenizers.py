"""Layers from raw images to tokens."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from cct.models.layers.base import INITIALIZATIONS, CCTLayer, he_normal, one_of, require
from cct.models.layers.equivariant import FlipBatchNorm, FlipConv2D
from cct.models.layers.fast import BatchNorm, convolve_relu_pool, fast_path, pool_size


@keras.saving.register_keras_serializable(package="cct")
class Standardize(CCTLayer):
    """Scales raw images (b, h, w, c) of 0..255 to zero mean and unit standard deviation for each channel.

    Args:
        mean: mean of each channel, in units of 0..1.
        std: standard deviation of each channel, in units of 0..1.
    """

    arguments = ("mean", "std")

    def __init__(self, mean: list[float], std: list[float], **kwargs) -> None:
        super().__init__(**kwargs)
        self.mean, self.std = list(mean), list(std)

    def call(self, images_bhwc):
        scale = 1.0 / (255.0 * np.asarray(self.std, "float32"))
        shift = -np.asarray(self.mean, "float32") / np.asarray(self.std, "float32")
        # As tensors: PyTorch refuses to multiply one on a GPU by an array. 16 bits would round before the sum.
        scale, shift = (ops.convert_to_tensor(one, "float32") for one in (scale, shift))
        x = ops.cast(images_bhwc, "float32")
        return ops.cast(x * scale + shift, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="cct")
class ConvTokenizer(CCTLayer):
    """Turns images (b, h, w, c) into tokens, one for each place after the last block, row by row.

    Each of the `len(channels)` blocks is a convolution and ReLU. Some have max-pooling with stride 2 over 3x3 places,
    or over those of `cct.models.layers.fast.pool_size` if `flip_equivariant`. A norm, if there is one, comes last in
    its block: see Mishkin et al., arXiv:1606.02228, section 3.2, on its place.

    Args:
        channels: channels of each convolution. The last number is the width of the tokens.
        pool_after: the blocks with max-pooling, counted from 1. None: all, as in the paper.
        kernel_size: size of the convolutions, odd with "same" padding.
        stride: stride of the convolutions.
        padding: "same": symmetric, `kernel_size // 2`; with a stride above 1 at least 1. "valid": none, and pooling
            pads "same" after its margin, as in the Keras example.
        use_bias: whether the convolutions have biases.
        norm: "none", as in the paper, or "batch".
        flip_equivariant: whether half of the filters mirror the others: see `cct.models.layers.equivariant`. Then the
            stride is 1, all channels are even, and there are no biases.
    """

    arguments = (
        "channels", "pool_after", "kernel_size", "stride", "padding", "use_bias", "norm", "flip_equivariant",
        "initialization",
    )  # fmt: skip

    def __init__(
        self,
        channels: list[int],
        *,
        pool_after: Sequence[int] | None = None,
        kernel_size: int = 3,
        stride: int = 1,
        padding: str = "same",
        use_bias: bool = False,
        norm: str = "none",
        flip_equivariant: bool = False,
        initialization: str = "paper",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        require(
            padding != "same" or kernel_size % 2 == 1,
            f'kernel_size = {kernel_size}: must be odd, because the padding "same" is equal on both sides',
        )
        require(
            not flip_equivariant or (stride == 1 and not use_bias and not any(width % 2 for width in channels)),
            f"flip_equivariant = True: needs stride 1, no biases and even channels, not stride {stride}, use_bias "
            f"{use_bias} and channels {[*channels]}",
        )
        self.channels, self.kernel_size, self.stride = list(channels), kernel_size, stride
        self.pool_after = list(range(1, len(self.channels) + 1) if pool_after is None else pool_after)
        self.padding, self.use_bias = one_of("padding", padding, ("same", "valid")), use_bias
        self.norm = one_of("norm", norm, ("none", "batch"))
        self.flip_equivariant = flip_equivariant
        self.initialization = one_of("initialization", initialization, INITIALIZATIONS)

    def build(self, input_shape) -> None:
        self.convolutions = []
        for i, width in enumerate(self.channels):
            options = {
                # "same" is symmetric with an odd kernel and stride 1. With a larger stride it is not, so `call` pads.
                "padding": "same" if self.padding == "same" and self.stride == 1 else "valid",
                "dtype": self.dtype_policy,
                "name": f"convolution_{i}",
            }
            if self.flip_equivariant:
                options |= {"of_images": i == 0, "initialization": self.initialization}
                convolution = FlipConv2D(width, self.kernel_size, **options)
            else:
                options |= {"strides": self.stride, "use_bias": self.use_bias, "activation": "relu"}
                options |= {"kernel_initializer": he_normal(self.initialization), "data_format": "channels_last"}
                convolution = keras.layers.Conv2D(width, self.kernel_size, **options)
            # Sides are None: Keras would refuse an image smaller than the kernel, but `call` pads it first.
            convolution.build((None, None, None, self.channels[i - 1] if i else input_shape[-1]))
            self.convolutions.append(convolution)
        self.norms = []
        norm_of = FlipBatchNorm if self.flip_equivariant else BatchNorm
        for i, width in enumerate(self.channels if self.norm == "batch" else []):
            norm = norm_of(dtype=self.dtype_policy, name=f"norm_{i}")
            norm.build((None, None, None, width))
            self.norms.append(norm)

    @property
    def in_few_passes(self) -> bool:
        """Whether `convolve_relu_pool` can compute the blocks, in training on TensorFlow."""
        return self.padding == "same" and self.stride == 1 and not self.use_bias

    def call(self, images_bhwc, training: bool = False):
        if fast_path(training) and self.in_few_passes:
            kernels = [convolution.kernel for convolution in self.convolutions]
            options = {"symmetric": self.flip_equivariant, "norms": self.norms}
            x = convolve_relu_pool(images_bhwc, kernels, pool_after=self.pool_after, **options)
        else:
            x = self.feature_maps(images_bhwc, training)
        return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))

    def feature_maps(self, images_bhwc, training: bool = False):
        """The tokens at their places: (b, rows, columns, d)."""
        x = images_bhwc
        margin = max(1, self.kernel_size // 2)
        for i, convolution in enumerate(self.convolutions):
            if self.padding == "same" and convolution.padding == "valid":
                x = ops.pad(x, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
            x = convolution(x)
            if i + 1 in self.pool_after:
                size = pool_size(x.shape[2], symmetric=self.flip_equivariant)
                # Zeros pad as well as minus infinity would, because no value is below zero after the ReLU.
                x = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
                padding = "valid" if self.padding == "same" else "same"
                x = ops.max_pool(x, size, strides=2, padding=padding, data_format="channels_last")
            if self.norms:
                x = self.norms[i](x, training=training)
        return x


@keras.saving.register_keras_serializable(package="cct")
class PatchTokenizer(CCTLayer):
    """Turns each square patch of images (b, h, w, c) into a token, row by row, by one linear map with bias."""

    arguments = ("embed_dim", "patch_size", "initialization")

    def __init__(self, embed_dim: int, patch_size: int, *, initialization: str = "paper", **kwargs) -> None:
        super().__init__(**kwargs)
        self.embed_dim, self.patch_size = embed_dim, patch_size
        self.initialization = one_of("initialization", initialization, INITIALIZATIONS)

    def build(self, input_shape) -> None:
        self.projection = keras.layers.Conv2D(
            self.embed_dim,
            self.patch_size,
            strides=self.patch_size,
            kernel_initializer=he_normal(self.initialization),
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="projection",
        )
        self.projection.build(input_shape)

    def call(self, images_bhwc):
        x = self.feature_maps(images_bhwc)
        return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))

    def feature_maps(self, images_bhwc):
        """The tokens at their places: (b, rows, columns, d)."""
        return self.projection(images_bhwc)
