"""Layers of models that are invariant to mirroring: an image and its mirror image have the same logits.

The channels of features are two halves, and those of the second half are what the first half would be in the mirrored
image. So only half of the filters are free weights. The encoder reads the tokens of both images, and the logits are the
mean. Source: Cohen & Welling, "Group Equivariant Convolutional Networks", arXiv:1602.07576, here for the horizontal
flip.
"""

import keras
import numpy as np
from keras import ops

from cct.models.layers.base import CCTLayer, he_normal, one_of, require
from cct.models.layers.fast import BatchNorm


def mirrored(features_bhwc):
    """Features (b, h, w, c) of the mirrored images: left and right change places, and so do the halves of the channels.

    `FlipConv2D`, `FlipBatchNorm`, symmetric pooling, and functions of single places fulfil f(mirrored(x)) =
    mirrored(f(x)).
    """
    return _swapped(ops.flip(features_bhwc, axis=2), axis=3)


@keras.saving.register_keras_serializable(package="cct")
class FlipConv2D(CCTLayer):
    """A convolution and ReLU, half of whose filters mirror the other half.

    Args:
        filters: channels of the result, an even number.
        kernel_size: side of the kernels.
        of_images: whether the inputs are images, whose channels have no halves.
        padding: "same" or "valid".
        initialization: "paper" or "keras".
    """

    arguments = ("filters", "kernel_size", "of_images", "padding", "initialization")

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        of_images: bool,
        padding: str = "valid",
        initialization: str = "paper",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        require(filters % 2 == 0, f"filters = {filters}: must be even, because one half mirrors the other")
        self.filters, self.kernel_size, self.of_images = filters, kernel_size, of_images
        self.padding = one_of("padding", padding, ("same", "valid"))
        self.initialization = initialization

    def build(self, input_shape) -> None:
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters // 2)
        self.free_kernel = self.add_weight(shape=shape, initializer=he_normal(self.initialization), name="kernel")

    @property
    def kernel(self):
        """(kernel_size, kernel_size, channels in, filters)."""
        mirror = ops.flip(self.free_kernel, axis=1)
        return ops.concatenate([self.free_kernel, mirror if self.of_images else _swapped(mirror, axis=2)], axis=3)

    def call(self, features_bhwc):
        return ops.relu(ops.conv(features_bhwc, self.kernel, padding=self.padding, data_format="channels_last"))


@keras.saving.register_keras_serializable(package="cct")
class FlipBatchNorm(BatchNorm):
    """Batch normalization in which a channel of the first half has mean, scale and so on of its mirror image."""

    def build(self, input_shape) -> None:
        super().build((*input_shape[:-1], input_shape[-1] // 2))
        self.input_spec = None  # Keras would expect the halves as inputs

    def call(self, inputs, training: bool = False):
        _, height, width, channels = inputs.shape
        # The second half of a place's channels becomes a place of its own.
        halves = ops.reshape(inputs, (-1, height, 2 * width, channels // 2))
        return ops.reshape(super().call(halves, training=training), (-1, height, width, channels))


@keras.saving.register_keras_serializable(package="cct")
class BothViews(CCTLayer):
    """Tokens (b, n, d) of images, and behind them those of the mirrored images: (2b, n, d).

    Args:
        columns: of the tokens in an image.
    """

    arguments = ("columns",)

    def __init__(self, columns: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.columns = columns

    def call(self, tokens_bnd):
        _, n, d = tokens_bnd.shape
        grid_bhwd = ops.reshape(tokens_bnd, (-1, n // self.columns, self.columns, d))
        return ops.concatenate([tokens_bnd, ops.reshape(mirrored(grid_bhwd), (-1, n, d))], axis=0)

    def compute_output_shape(self, input_shape):
        return (None, *input_shape[1:])

    def mean_shares(self, shares: np.ndarray) -> np.ndarray:
        """The shares of the tokens (2b, ..., n) of both views, as means at the places of the images: (b, ..., n)."""
        image, mirror = np.split(shares, 2)
        grid = mirror.reshape(*mirror.shape[:-1], -1, self.columns)
        return (image + grid[..., ::-1].reshape(image.shape)) / 2


@keras.saving.register_keras_serializable(package="cct")
class MeanOfViews(CCTLayer):
    """The mean over both views of each image: (2b, k) becomes (b, k)."""

    def call(self, logits_bk):
        return ops.mean(ops.reshape(logits_bk, (2, -1, logits_bk.shape[-1])), axis=0)

    def compute_output_shape(self, input_shape):
        return (None, *input_shape[1:])


def _swapped(x, *, axis: int):
    first, second = ops.split(x, 2, axis=axis)
    return ops.concatenate([second, first], axis=axis)
