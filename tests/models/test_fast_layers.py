"""The fast training steps compute the functions of Keras's layers and their gradients."""

import keras
import numpy as np
import pytest
from networks import array, built, random_images, random_tokens

from cct.models.layers import fast, tokenizers
from cct.models.layers.fast import BatchNorm, Dropout, LayerNorm, gelu
from cct.models.layers.tokenizers import ConvTokenizer

TENSORFLOW = keras.backend.backend() == "tensorflow"


class Shift(keras.layers.Layer):
    """Adds a trained number to each number of an example. It moves by the gradient of the next layer's input."""

    def build(self, input_shape):
        self.shift = self.add_weight(shape=input_shape[1:], initializer="zeros")

    def call(self, x):
        return x + self.shift


class Gelu(keras.layers.Layer):
    def call(self, x, training=False):
        return gelu(x, training)


@pytest.fixture
def both_ways(monkeypatch):
    """The output of a layer, and all weights after a training step: by the fast path, and by Keras alone."""
    if not TENSORFLOW:
        pytest.skip("other backends have no fast path to compare")

    def run(make, x: np.ndarray, dtype: str = "float32") -> list[list[np.ndarray]]:
        found = []
        for path in (fast.fast_path, lambda training: False):
            for module in (fast, tokenizers):
                monkeypatch.setattr(module, "fast_path", path)
            keras.utils.set_random_seed(3)
            inputs = keras.Input(x.shape[1:])
            model = keras.Model(inputs, make()(Shift(dtype=dtype)(inputs)))
            for place, variable in enumerate(model.trainable_variables):
                variable.assign(1 + random_tokens(*variable.shape, seed=place) / 3)
            output = array(model(x, training=True)).astype("float32")
            model.compile(keras.optimizers.SGD(100.0), "mse", jit_compile=False)
            model.train_on_batch(x, random_tokens(*output.shape, seed=9))
            found.append([output, *model.get_weights()])
        return found

    return run


# Tolerances: of sums in another order in float32, and of 8 bits of significand.
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("mixed_bfloat16", 0.05)])
@pytest.mark.parametrize("make", [lambda d: LayerNorm(epsilon=1e-5, dtype=d), lambda d: Gelu(dtype=d)])
def test_steps_are_those_of_keras(both_ways, make, dtype, tolerance):
    fast_ones, slow_ones = both_ways(lambda: make(dtype), random_tokens(5, 7, 12), dtype)
    for ours, theirs in zip(fast_ones, slow_ones, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=tolerance)


@pytest.mark.parametrize(
    ("size", "channels", "options"),
    [
        ((8, 8), [6, 4], {}),
        ((9, 13), [6, 4], {}),
        ((1, 2), [6, 4], {"pool_after": [2]}),
        ((10, 7), [5], {"kernel_size": 7}),
        ((1, 2), [5], {"kernel_size": 7}),
        ((9, 13), [4, 3, 5], {"kernel_size": 1, "pool_after": [1, 2]}),
        ((9, 12), [4, 3, 5], {"norm": "batch", "pool_after": [1, 3]}),
        ((9, 12), [4, 2, 6], {"norm": "batch", "pool_after": [1, 3], "flip_equivariant": True}),
        ((12, 9), [4, 2], {"flip_equivariant": True}),
    ],
)
def test_the_tokenizers_step_is_that_of_keras(both_ways, size, channels, options):
    """For even and odd sides: symmetric padding is what the flips are for."""
    x = random_tokens(3, *size, 2)
    fast_ones, slow_ones = both_ways(lambda: ConvTokenizer(channels, **options), x)
    for ours, theirs in zip(fast_ones, slow_ones, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("mixed_bfloat16", 0.05)])
@pytest.mark.parametrize("trained", [True, False])
def test_a_batch_norms_step_is_that_of_keras(both_ways, trained, dtype, tolerance):
    """A frozen norm has its moving averages in training too, and they stay as they are."""
    x = random_tokens(5, 3, 7, 12)
    fast_ones, slow_ones = both_ways(lambda: BatchNorm(dtype=dtype, trainable=trained), x, dtype)
    assert len(fast_ones) == 6  # output, shift, and the norm's four weights
    for ours, theirs in zip(fast_ones, slow_ones, strict=True):
        scale = np.abs(theirs).max() or 1.0  # the moving mean of a frozen norm is 0
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=tolerance)


@pytest.mark.parametrize("shape", [(400, 500), (33, 57, 91)])  # an even count, and an odd one in three dimensions
def test_dropout_keeps_a_share_and_scales_it(shape):
    x, rate = 1 + np.abs(random_tokens(*shape)), 0.3
    layer = Dropout(rate, seed=5)
    first, second = (array(layer(x, training=True)) for _ in range(2))
    np.testing.assert_allclose(first[first != 0], (x / (1 - rate))[first != 0], rtol=1e-4)
    assert not np.array_equal(first, second)
    for found in (first, second):  # ten standard deviations, at most 0.012
        assert abs((found == 0).mean() - rate) < 10 * np.sqrt(rate * (1 - rate) / x.size)
    np.testing.assert_array_equal(array(Dropout(rate, seed=5)(x, training=True)), first)
    np.testing.assert_array_equal(array(layer(x, training=False)), x)


def test_neighbours_are_dropped_independently():
    """Two numbers share one random number of 32 bits."""
    dropped = array(Dropout(0.5, seed=1)(np.ones((1000, 2), "float32"), training=True)) == 0
    together = (dropped[:, 0] & dropped[:, 1]).mean()
    assert abs(together - 0.25) < 10 * np.sqrt(0.25 * 0.75 / 1000)


@pytest.mark.skipif(not TENSORFLOW, reason="operators of TensorFlow")
def test_inference_has_keras_operators_only():
    import tensorflow as tf

    def operators(training: bool) -> set[str]:
        model = built("cct_2_3x2", num_layers=1, image_shape=(8, 8, 3), dropout=0.1, conv_norm="batch")
        concrete = tf.function(lambda x: model(x, training=training)).get_concrete_function(random_images(2, 8, 8, 3))
        return {operator.type for operator in concrete.graph.get_operations()}

    own = {"ReverseV2", "FusedBatchNormV3", "IdentityN"}
    assert own <= operators(training=True)
    assert not (own | {"StatefulPartitionedCall", "PartitionedCall"}) & operators(training=False)
