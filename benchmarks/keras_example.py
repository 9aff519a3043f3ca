"""The model of the Keras example, written as in the example: `keras.layers.MultiHeadAttention` and plain layers.

It is a contender of `speed.py`, on the same backend. It has 416,331 parameters, as this project's `keras_example` has.
Source of the architecture: https://keras.io/examples/vision/cct/.
"""

import keras
import numpy as np
from keras import layers, ops


class Positions(layers.Layer):
    def build(self, input_shape):
        self.table = self.add_weight(shape=input_shape[1:])

    def call(self, tokens):
        return tokens + self.table


class StochasticDepth(layers.Layer):
    def __init__(self, rate):
        super().__init__()
        self.rate, self.seed_generator = rate, keras.random.SeedGenerator(1337)

    def call(self, x, training=False):
        if not training:
            return x
        kept = 1 - self.rate
        shape = (ops.shape(x)[0], 1, 1)
        return (x / kept) * ops.floor(kept + keras.random.uniform(shape, 0, 1, seed=self.seed_generator))


def build():
    images = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(images)
    for channels in (64, 128):
        x = layers.Conv2D(channels, 3, use_bias=False, activation="relu", kernel_initializer="he_normal")(x)
        x = layers.ZeroPadding2D(1)(x)
        x = layers.MaxPooling2D(3, 2, "same")(x)
    x = Positions()(layers.Reshape((-1, 128))(x))
    for rate in np.linspace(0, 0.1, 2):
        normed = layers.LayerNormalization(epsilon=1e-5)(x)
        attended = layers.MultiHeadAttention(num_heads=2, key_dim=128, dropout=0.1)(normed, normed)
        x = layers.Add()([StochasticDepth(rate)(attended), x])
        branch = layers.LayerNormalization(epsilon=1e-5)(x)
        for _ in range(2):
            branch = layers.Dropout(0.1)(layers.Dense(128, activation=keras.activations.gelu)(branch))
        x = layers.Add()([StochasticDepth(rate)(branch), x])
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    weights = layers.Softmax(axis=1)(layers.Dense(1)(x))
    pooled = ops.squeeze(ops.matmul(ops.transpose(weights, (0, 2, 1)), x), 1)
    return keras.Model(images, layers.Dense(10)(pooled))
