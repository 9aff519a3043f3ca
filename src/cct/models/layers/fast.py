"""Keras's layers with faster training steps on TensorFlow, and the functions that compute these steps.

A step computes the function of Keras's layer, up to rounding. Two things are not Keras's: `Dropout` has other random
numbers and rounds its rate, and `BatchNorm` has defaults of its own.

TensorFlow computes a gradient operator by operator, and on a CPU most of these wait for memory. Most functions here
have gradients written by hand, in few passes, some of which XLA compiles. JAX does so with all it computes, and PyTorch
has kernels for these layers, so on these backends they are Keras's. So they are outside of training: exported files
have Keras's operators only. docs/speed.md has what each saves.
"""

import functools
import math
import types
from collections.abc import Collection

import keras
from keras import ops

BITS = 16  # random bits that decide whether a number is dropped


def fast_path(training: bool) -> bool:
    """Whether the functions of this module compute a step."""
    return training and keras.backend.backend() == "tensorflow"


@keras.saving.register_keras_serializable(package="cct")
class LayerNorm(keras.layers.LayerNormalization):
    """Layer normalization of the last axis. Source: Ba et al., arXiv:1607.06450."""

    def call(self, inputs, training: bool = False):
        if not fast_path(training):
            return super().call(inputs)
        return _layer_norm(inputs, ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32"), self.epsilon)


@keras.saving.register_keras_serializable(package="cct")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalization of the last axis of images. Source: Ioffe & Szegedy, arXiv:1502.03167.

    The moving averages that it uses outside of training forget faster than Keras's: a small data set has few steps.
    """

    def __init__(self, *, momentum: float = 0.95, epsilon: float = 1e-5, **kwargs) -> None:
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training: bool = False):
        if not fast_path(training and self.trainable):
            return super().call(inputs, training=training)
        import tensorflow as tf

        gamma, beta = tf.cast(self.gamma, "float32"), tf.cast(self.beta, "float32")
        # One kernel, where Keras has an operator for each step. Its variance has Bessel's correction, Keras's has not.
        normed, mean, variance = tf.compat.v1.nn.fused_batch_norm(inputs, gamma, beta, epsilon=self.epsilon)
        places = tf.cast(tf.size(inputs) // inputs.shape[-1], "float32")
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance * (1 - 1 / places))):
            average.assign(average * self.momentum + tf.cast(value, average.dtype) * (1 - self.momentum))
        return normed


@keras.saving.register_keras_serializable(package="cct")
class Dropout(keras.layers.Dropout):
    """Dropout. On TensorFlow 16 random bits decide on each number, so the rate is rounded to a multiple of 2^-16.

    Keras draws 32 bits, which takes twice as long, before anything else in a step can start.
    """

    def call(self, inputs, training: bool = False):
        if not fast_path(training) or not self.rate or self.noise_shape is not None:
            return super().call(inputs, training=training)
        import tensorflow as tf

        keep, scale = random_keep(tf.shape(inputs), self.rate, tf.cast(self.seed_generator.next(), "int32"))
        return tf.where(keep, inputs * tf.cast(scale, inputs.dtype), tf.zeros([], inputs.dtype))


def random_keep(shape, rate: float, seed):
    """Which numbers of a tensor dropout keeps, at random, and what it multiplies them by.

    Args:
        seed: two integers (int32). Equal ones keep equal numbers.
    """
    import tensorflow as tf

    count, dropped = tf.reduce_prod(shape), round(rate * 2**BITS)
    pairs = tf.random.stateless_uniform([(count + 1) // 2], seed, None, None, "uint32", alg="philox")
    bits = tf.reshape(tf.reshape(tf.bitcast(pairs, "uint16"), [-1])[:count], shape)
    return bits >= tf.constant(dropped, "uint16"), 1 / (1 - dropped / 2**BITS)


def gelu(x, training: bool = False):
    """Exact (erf) GELU. Source: Hendrycks & Gimpel, arXiv:1606.08415."""
    return _gelu(x) if fast_path(training) else ops.gelu(x, approximate=False)


def convolve_relu_pool(images_bhwc, kernels, *, pool_after: Collection[int], symmetric: bool = False, norms=()):
    """Blocks of a convolution with symmetric padding, ReLU, 3x3 max-pooling with stride 2 and a margin of 1, and norm.

    TensorFlow pads an even side by one cell after its end, and this pooling needs it before its start. So the images
    are flipped, with the kernels, and no padded copies are made. ReLU after the pooling gives the same on a quarter of
    the numbers.

    Args:
        images_bhwc: (b, h, w, c).
        kernels: of each convolution, (k, k, channels in, channels out), with odd k.
        pool_after: the blocks with max-pooling, counted from 1.
        symmetric: as for `pool_size`.
        norms: the norm of each block. Empty: they have none.
    """
    import tensorflow as tf

    x = tf.reverse(images_bhwc, [1, 2])
    for i, kernel in enumerate(kernels):
        x = convolve_flipped(x, kernel)
        x = pool_relu(x, pool_size(x.shape[2], symmetric=symmetric)) if i + 1 in pool_after else tf.nn.relu(x)
        if norms:
            x = norms[i](x, training=True)
    return tf.reverse(x, [1, 2])


def convolve_flipped(flipped_bhwc, kernel):
    """The convolution of images, flipped, from flipped images and the kernel."""
    import tensorflow as tf

    return tf.nn.conv2d(flipped_bhwc, tf.reverse(tf.cast(kernel, flipped_bhwc.dtype), [0, 1]), 1, "SAME")


def pool_relu(flipped_bhwc, size: tuple[int, int] = (3, 3)):
    """Max-pooling and ReLU of flipped images."""
    import tensorflow as tf

    return tf.nn.relu(tf.nn.max_pool2d(flipped_bhwc, size, 2, "SAME"))


def pool_size(width: int, *, symmetric: bool) -> tuple[int, int]:
    """Rows and columns of the pooling's window, for features of some width.

    Args:
        width: columns of the features.
        symmetric: whether the windows of mirrored features are those of the features. With a stride of 2, a window of
            3 has its centre on a column. So it is symmetric over an odd number of them, and one of 4 over an even one.
    """
    return 3, 4 if symmetric and width % 2 == 0 else 3


def _layer_norm(x, gamma_d, beta_d, epsilon: float):
    import tensorflow as tf

    compiled = _compiled()

    @tf.custom_gradient
    def normalize(x, gamma_d, beta_d):
        mean = tf.reduce_mean(tf.cast(x, "float32"), -1, keepdims=True)
        variance = tf.reduce_mean(compiled.squared_deviations(x, mean), -1, keepdims=True)
        scale = tf.math.rsqrt(variance + epsilon)

        def gradients(upstream):
            rows = [*range(len(x.shape) - 1)]
            products = compiled.products(x, upstream, mean, scale)
            upstream32 = tf.cast(upstream, "float32")
            column_d1 = gamma_d[:, None] / x.shape[-1]
            inner, projection = (tf.tensordot(one, column_d1, 1) for one in (upstream32, products))
            return (
                compiled.norm_gradient(x, upstream, mean, scale, gamma_d, inner, projection),
                tf.reduce_sum(products, rows),
                tf.reduce_sum(upstream32, rows),
            )

        return compiled.normed(x, mean, scale, gamma_d, beta_d), gradients

    return normalize(x, gamma_d, beta_d)


def _gelu(x):
    import tensorflow as tf

    compiled = _compiled()

    @tf.custom_gradient
    def activate(x):
        return compiled.gelu(x), lambda upstream: compiled.gelu_gradient(x, upstream)

    return activate(x)


@functools.cache
def _compiled() -> types.SimpleNamespace:
    """Passes over all numbers that XLA compiles into one each, in float32 also for 16-bit numbers.

    Only passes without a sum are among them: XLA's sums are slower on a CPU than TensorFlow's.
    """
    import tensorflow as tf

    # AutoGraph would read these functions' source files while a training runs, for nothing.
    compiled = functools.partial(tf.function, jit_compile=True, reduce_retracing=True, autograph=False)

    def as_float32(function):
        """Compile a function; arguments become float32, and the result has the type of the first argument."""

        def cast(first, *others):
            return tf.cast(function(*(tf.cast(one, "float32") for one in (first, *others))), first.dtype)

        return compiled(cast)

    def squared_deviations(x, mean):
        return tf.square(tf.cast(x, "float32") - mean)

    def products(x, upstream, mean, scale):
        return tf.cast(upstream, "float32") * (tf.cast(x, "float32") - mean) * scale

    def cumulative(x):
        return 0.5 * (1.0 + tf.math.erf(x * math.sqrt(0.5)))

    def density(x):
        return tf.exp(tf.square(x) * -0.5) * (1 / math.sqrt(2 * math.pi))

    return types.SimpleNamespace(
        squared_deviations=compiled(squared_deviations),
        products=compiled(products),
        normed=as_float32(lambda x, mean, scale, gamma_d, beta_d: (x - mean) * scale * gamma_d + beta_d),
        norm_gradient=as_float32(
            lambda x, upstream, mean, scale, gamma_d, inner, projection: (
                scale * (upstream * gamma_d - inner - (x - mean) * scale * projection)
            )
        ),
        gelu=as_float32(lambda x: x * cumulative(x)),
        gelu_gradient=as_float32(lambda x, upstream: upstream * (cumulative(x) + x * density(x))),
    )
