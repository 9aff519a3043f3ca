"""Attention in parts is attention: the values, the gradients, and the masks of dropout."""

import keras
import numpy as np
import pytest
from networks import array, random_tokens

from cct.models.layers import many_tokens
from cct.models.layers.base import masked
from cct.models.layers.encoder import Attention
from cct.models.layers.fast import random_keep

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the parts are TensorFlow's")
B, E, N, K = 3, 2, 11, 4


@pytest.fixture(params=[1, 4, 11, 64])  # one query; a part that is not full; all; more than there are
def at_once(request, monkeypatch) -> int:
    monkeypatch.setattr(many_tokens, "MANY_TOKENS", N - 1)
    monkeypatch.setattr(many_tokens, "QUERIES_AT_ONCE", request.param)
    return request.param


def textbook(query_benk, key_benk, value_benk, valid_bn, keep_benn):
    import tensorflow as tf

    scores = tf.matmul(query_benk, key_benk, transpose_b=True)
    weights = tf.nn.softmax(scores if valid_bn is None else masked(scores, valid_bn[:, None, None, :]))
    return tf.matmul(weights * keep_benn, value_benk)


@pytest.mark.parametrize("rate", [0.0, 0.4])
@pytest.mark.parametrize("valid", [False, True])
def test_values_and_gradients_are_the_textbooks(at_once, rate, valid):
    import tensorflow as tf

    inputs = [tf.constant(random_tokens(B, E, N, K, seed=place)) for place in range(3)]
    upstream, seed = tf.constant(random_tokens(B, E, N, K, seed=3)), tf.constant([5, 7])
    valid_bn = tf.constant(np.arange(N) < np.array([[11], [6], [1]])) if valid else None
    keep = tf.ones((B, E, N, N))
    if rate:
        masks = [
            tf.where(*random_keep((B, E, at_once, N), rate, tf.random.experimental.stateless_fold_in(seed, part)), 0.0)
            for part in range(-(-N // at_once))
        ]
        keep = tf.concat(masks, axis=2)[:, :, :N]
        assert 0 < np.mean(array(keep) == 0) < 1
    found = []
    for mix in (
        lambda *qkv: many_tokens.attend(*qkv, valid_bn, rate=rate, seed=seed),
        lambda *qkv: textbook(*qkv, valid_bn, keep),
    ):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            mixed = mix(*inputs)
        found.append([mixed, *tape.gradient(mixed, inputs, upstream)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(array(ours), array(theirs), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_the_layer_trains_with_parts_as_it_predicts(at_once, dtype):
    """Without dropout the values of training are those of inference, which never has parts."""
    layer, tokens = Attention(E, K, dtype=dtype), random_tokens(B, N, E * K + 1)
    layer.build(tokens.shape)
    layer.set_weights([random_tokens(*weight.shape, seed=4) for weight in layer.get_weights()])
    trained, predicted = (array(layer(tokens, training=training)).astype("float32") for training in (True, False))
    scale = np.abs(predicted).max()
    np.testing.assert_allclose(trained / scale, predicted / scale, atol=1e-5 if dtype == "float32" else 0.05)


@pytest.mark.parametrize("at_once", [4], indirect=True)
def test_equal_seeds_train_in_the_same_bits_and_others_do_not(at_once):
    def train(seed: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((N, E * K + 1))
        model = keras.Model(inputs, Attention(E, K, attention_dropout=0.3)(inputs))
        model.set_weights([random_tokens(*weight.shape, seed=2) for weight in model.get_weights()])
        model.compile("sgd", "mse", jit_compile=False)
        tokens = random_tokens(B, N, E * K + 1)
        model.train_on_batch(tokens, tokens)
        return model.get_weights()

    first, again, other = train(1), train(1), train(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
