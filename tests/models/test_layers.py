"""Layers, on the backend that the tests run on."""

import inspect

import keras
import numpy as np
import pytest
from networks import array, random_images, random_tokens

from cct.models.layers import tokenizers
from cct.models.layers.base import CCTLayer
from cct.models.layers.encoder import Attention, EncoderBlock, StochasticDepth
from cct.models.layers.equivariant import BothViews, FlipBatchNorm, FlipConv2D, MeanOfViews, mirrored
from cct.models.layers.fast import BatchNorm, Dropout, LayerNorm
from cct.models.layers.tokenizers import ConvTokenizer, PatchTokenizer, Standardize
from cct.models.layers.tokens import ClassToken, FirstToken, PositionalEmbedding, SequencePool, sinusoidal_table
from cct.models.layers.words import WordConvTokenizer, WordEmbedding, WordPatchTokenizer

LAYERS = [
    Standardize([0.4, 0.5, 0.6], [0.2, 0.2, 0.3]),
    ConvTokenizer([8, 12], pool_after=[2], kernel_size=3, use_bias=True),
    ConvTokenizer([8], kernel_size=7, stride=2, initialization="keras"),
    ConvTokenizer([8, 12], padding="valid", norm="batch"),
    ConvTokenizer([8, 12], flip_equivariant=True),
    FlipConv2D(8, 3, of_images=True, padding="same", initialization="keras"),
    FlipBatchNorm(momentum=0.9, epsilon=1e-3),
    BothViews(4),
    MeanOfViews(),
    PatchTokenizer(12, 4, initialization="keras"),
    ClassToken(),
    FirstToken(),
    PositionalEmbedding("learnable"),
    PositionalEmbedding("sinusoidal"),
    StochasticDepth(0.25, seed=3),
    Attention(2, 6, qkv_bias=True, projection_dropout=0.1, attention_dropout=0.2),
    EncoderBlock(2, 6, 24, norm="pre", mlp_output="gelu", stochastic_depth=0.1, dropout=0.1, layer_norm_epsilon=1e-6),
    SequencePool(),
    WordEmbedding(50, 8),
    WordConvTokenizer(12, kernel_size=4, stride=1, padding=2, use_bias=True, initialization="keras"),
    WordPatchTokenizer(12, 2, initialization="keras"),
    LayerNorm(epsilon=1e-6),
    BatchNorm(momentum=0.9, epsilon=1e-3),
    Dropout(0.3, seed=4),
]


def arguments(kind: type) -> list[str]:
    """The arguments of a class's own constructor; empty if it has none."""
    if "__init__" not in vars(kind):
        return []
    parameters = [*inspect.signature(kind.__init__).parameters.values()]
    return [one.name for one in parameters[1:] if one.kind is not inspect.Parameter.VAR_KEYWORD]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_every_layer_is_its_configuration(layer):
    copy = type(layer).from_config(layer.get_config())
    for name in arguments(type(layer)):
        assert getattr(copy, name) == getattr(layer, name), name
    assert (
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)).get_config()
        == layer.get_config()
    )


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_a_configuration_has_all_arguments_of_the_constructor(layer):
    own = arguments(type(layer))
    assert own == [*layer.arguments] if isinstance(layer, CCTLayer) else {*own} <= layer.get_config().keys()


def test_no_layer_is_left_out_above():
    """None that a file may name."""
    registered = {kind for name, kind in keras.saving.get_custom_objects().items() if name.startswith("cct>")}
    assert registered == {type(layer) for layer in LAYERS}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("k", [6, 12, 15])
def test_attention_is_the_textbook_one(k, bias):
    """Heads narrower than the tokens, as wide, and wider: from there on the projections are folded."""
    x = random_tokens(2, 5, 12)
    layer = Attention(3, k, qkv_bias=bias)
    layer(x)
    for variable in layer.trainable_variables:
        variable.assign(random_tokens(*variable.shape, seed=len(variable.shape)) / 3)
    kernel, shift = array(layer.qkv.kernel), array(layer.qkv.bias) if bias else 0
    query, key, value = np.split(x @ kernel + shift, 3, axis=-1)
    mixed, textbook = [], []
    for head in range(3):
        part = slice(k * head, k * head + k)
        logits = query[..., part] @ key[..., part].transpose(0, 2, 1) / np.sqrt(k)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        textbook.append(weights / weights.sum(-1, keepdims=True))
        mixed.append(textbook[-1] @ value[..., part])
    kernel, shift = (array(v) for v in layer.projection.weights)
    expected = np.concatenate(mixed, -1) @ kernel + shift
    np.testing.assert_allclose(array(layer(x)), expected, atol=2e-5)
    np.testing.assert_allclose(array(layer.attention_weights(x)), np.stack(textbook, axis=1), atol=2e-6)


def test_folded_attention_has_the_textbook_gradient():
    x, weights = random_tokens(4, 5, 12), []
    for path in ("_folded", "_textbook"):
        layer = Attention(2, 12, qkv_bias=True)
        layer._folded = getattr(layer, path)
        network = keras.Sequential([keras.Input((5, 12)), layer])
        for variable in network.trainable_variables:
            variable.assign(random_tokens(*variable.shape, seed=len(variable.shape)) / 3)
        network.compile(keras.optimizers.SGD(1.0), "mse")
        network.train_on_batch(x, random_tokens(4, 5, 12, seed=9))
        weights.append(network.get_weights())
    for folded, textbook in zip(*weights, strict=True):
        np.testing.assert_allclose(folded, textbook, atol=1e-5)


def test_keras_initial_weights_are_those_of_its_own_attention():
    theirs = keras.layers.MultiHeadAttention(num_heads=2, key_dim=48)
    theirs(random_tokens(1, 5, 32), random_tokens(1, 5, 32))
    ours = Attention(2, 48, qkv_bias=True, initialization="keras")
    ours.build((None, 5, 32))
    for kernel, other in (
        (ours.qkv.kernel, theirs._query_dense.kernel),
        (ours.projection.kernel, theirs._output_dense.kernel),
    ):
        # Uniform, at least 3,072 values: ten standard errors.
        assert array(kernel).max() == pytest.approx(array(other).max(), rel=0.02)
        assert array(kernel).std() == pytest.approx(array(other).std(), rel=0.1)


@pytest.mark.parametrize("k", [4, 8])
def test_attention_dropout_keeps_the_mean_and_leaves_inference_alone(k):
    count = 40_000
    x = np.repeat(random_tokens(1, 4, 8), count, axis=0)
    layer = Attention(2, k, qkv_bias=True, attention_dropout=0.5, initialization="keras")
    layer(x[:1])
    layer.qkv.bias.assign(random_tokens(6 * k, seed=3))
    inference, training = array(layer(x)), array(layer(x, training=True))
    errors = training.std(0) / np.sqrt(count)
    assert (np.abs(training.mean(0) - inference[0]) < 10 * errors).all() and errors.max() < 0.02
    assert np.abs(training - inference).max() > 0.2
    np.testing.assert_array_equal(inference, array(layer(x, training=False)))


def test_without_positions_the_order_of_tokens_changes_nothing():
    """And with them it does: what a transformer knows of places it knows from positions alone."""
    x, order = random_tokens(2, 6, 12), [3, 0, 5, 1, 4, 2]
    block, pool = EncoderBlock(2, 6, 24), SequencePool(initialization="keras")
    np.testing.assert_allclose(array(pool(block(x))), array(pool(block(x[:, order]))), atol=1e-5)
    for kind in ("learnable", "sinusoidal"):
        place = PositionalEmbedding(kind)
        assert np.abs(array(pool(block(place(x)))) - array(pool(block(place(x[:, order]))))).max() > 1e-3


def test_sequence_pool_weights_sum_to_one():
    pool = SequencePool(initialization="keras")
    same = np.repeat(random_tokens(2, 1, 8), 7, axis=1)
    np.testing.assert_allclose(array(pool(same)), same[:, 0], atol=1e-6)
    x = random_tokens(2, 7, 8)
    pooled = array(pool(x))
    assert (pooled <= x.max(1) + 1e-6).all() and (pooled >= x.min(1) - 1e-6).all()


def test_sinusoids_alternate():
    table = sinusoidal_table(3, 4)[0]
    np.testing.assert_allclose(table[0], [0, 1, 0, 1])
    np.testing.assert_allclose(table[2], [np.sin(2), np.cos(2), np.sin(0.02), np.cos(0.02)], rtol=1e-6)


def test_the_second_norm_is_on_the_stream_in_the_paper_and_beside_it_in_pre_norm():
    """With the MLP's output at zero, a block ends in a normalised stream, or in the stream as it was."""
    x = 5 + 3 * random_tokens(2, 4, 12)
    for norm in ("stream", "pre"):
        block = EncoderBlock(2, 6, 24, norm=norm)
        block(x)
        for layer in (block.attention.projection, block.dense_2):
            layer.kernel.assign(np.zeros(layer.kernel.shape))
        expected = x if norm == "pre" else (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(array(block(x)), expected, atol=1e-4)


def test_stochastic_depth_drops_whole_images_each_layer_by_its_own_draws():
    x = np.ones((20_000, 3, 2), "float32")
    one, other = StochasticDepth(0.25), StochasticDepth(0.25)
    first, second = array(one(x, training=True)), array(other(x, training=True))
    assert set(np.unique(first)) == {0.0, np.float32(1 / 0.75)}
    assert (first == first[:, :1, :1]).all()
    assert abs((first[:, 0, 0] == 0).mean() - 0.25) < 0.04  # 13 standard errors
    assert (first != second).any()
    np.testing.assert_array_equal(array(one(x)), x)


def test_the_model_standardizes_raw_images():
    layer = Standardize([0.2, 0.4, 0.6], [0.1, 0.2, 0.3])
    images = random_images(2, 4, 4, 3)
    np.testing.assert_allclose(array(layer(images)), (images / 255 - [0.2, 0.4, 0.6]) / [0.1, 0.2, 0.3], atol=1e-5)


class OnDevice:
    """A tensor that meets no arrays, as PyTorch's on a GPU."""

    def __init__(self, value):
        self.value = value

    def __mul__(self, other):
        assert not isinstance(other, np.ndarray)
        return OnDevice(self.value * other)

    def __add__(self, other):
        assert not isinstance(other, np.ndarray)
        return OnDevice(self.value + other)


def test_images_on_a_device_meet_tensors(monkeypatch):
    layer, images, cast = Standardize([0.2], [0.1]), random_images(2, 4, 4, 1), keras.ops.cast
    expected = array(layer(images))

    def to_device(x, dtype):
        return cast(x.value, dtype) if isinstance(x, OnDevice) else OnDevice(cast(x, dtype))

    monkeypatch.setattr(tokenizers.ops, "cast", to_device)
    np.testing.assert_array_equal(array(layer.call(images)), expected)


def tokenize(images, kernels, *, stride, margin, pool_after):
    """The authors' tokenizer as plain loops: convolution over padding, ReLU, maximum of 3x3 at every second place."""
    x = images
    for block, kernel in enumerate(kernels, start=1):
        size = kernel.shape[0]
        padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        rows, columns = ((side + 2 * margin - size) // stride + 1 for side in x.shape[1:3])
        y = np.zeros((len(x), rows, columns, kernel.shape[-1]))
        for r in range(rows):
            for c in range(columns):
                window = padded[:, r * stride : r * stride + size, c * stride : c * stride + size]
                y[:, r, c] = np.maximum(np.tensordot(window, kernel, 3), 0)
        if block not in pool_after:
            x = y
            continue
        padded = np.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
        x = np.stack(
            [
                np.stack([padded[:, r : r + 3, c : c + 3].max((1, 2)) for c in range(0, columns, 2)], 1)
                for r in range(0, rows, 2)
            ],
            1,
        )
    return x.reshape(len(x), -1, x.shape[-1])


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "widths", "pools"),
    [(8, 3, 1, [4, 6], [1, 2]), (7, 3, 1, [4], [1]), (21, 7, 2, [4, 6], [1, 2]), (9, 3, 1, [4, 5, 6], [1, 3])],
)
def test_the_tokenizer_is_the_authors(side, kernel, stride, widths, pools):
    """Padding on every side at every step: Keras's own "same" pads only right and below where there is a stride."""
    tokenizer = ConvTokenizer(widths, pool_after=pools, kernel_size=kernel, stride=stride)
    images = random_tokens(2, side, side, 3)
    found = array(tokenizer(images))
    kernels = [array(convolution.kernel) for convolution in tokenizer.convolutions]
    wanted = tokenize(images, kernels, stride=stride, margin=kernel // 2, pool_after=pools)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("width", [20, 21, 22, 23])
def test_a_mirrored_image_has_mirrored_features(training, norm, padding, width):
    """Also after a training has moved all weights, and with poolings of odd and even sides."""
    options = {"pool_after": [1, 3], "kernel_size": 3, "padding": padding, "norm": norm}
    tokenizer = ConvTokenizer([4, 6, 8], **options, flip_equivariant=True)
    images = random_tokens(3, 18, width, 3)
    tokenizer.build(images.shape)
    generator = np.random.default_rng(3)
    for weight in tokenizer.weights:
        shift = generator.uniform(0, 0.3, weight.shape) if len(weight.shape) == 1 else 0  # positive, as a variance is
        weight.assign(generator.uniform(0.5, 1.5, weight.shape) * weight + shift)
    features = tokenizer.feature_maps(images, training)
    found = array(tokenizer.feature_maps(images[:, :, ::-1], training))
    np.testing.assert_allclose(found, array(mirrored(features)), atol=1e-4 * np.abs(found).max())
    assert np.abs(found - array(features)).max() > 0.01 * np.abs(found).max()


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_each_channel_is_normalized_after_its_pooling(padding):
    """In training over all images and places of the batch, otherwise by the averages over batches."""
    x = random_tokens(4, 9, 12, 3)
    plain, normed = (ConvTokenizer([5], norm=norm, padding=padding) for norm in ("none", "batch"))
    plain.build(x.shape), normed.build(x.shape)
    normed.convolutions[0].kernel.assign(plain.convolutions[0].kernel)
    tokens = array(plain(x))
    mean, variance = tokens.mean((0, 1)), tokens.var((0, 1))
    wanted = (tokens - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(array(normed(x, training=True)), wanted, atol=1e-4)
    assert np.abs(array(normed(x)) - wanted).max() > 0.1
    for _ in range(400):
        normed(x, training=True)
    np.testing.assert_allclose(array(normed(x)), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PositionalEmbedding("learnabel"), "kind = 'learnabel': must be one of learnable, sinusoidal"),
        (lambda: EncoderBlock(2, 8, 16, norm="Stream"), "norm = 'Stream': must be one of stream, pre"),
        (lambda: EncoderBlock(2, 8, 16, mlp_output="Gelu"), "mlp_output = 'Gelu': must be one of linear, gelu"),
        (lambda: ConvTokenizer([8], norm="layer"), "norm = 'layer': must be one of none, batch"),
        (lambda: ConvTokenizer([8], padding="Same"), "padding = 'Same': must be one of same, valid"),
        (lambda: PatchTokenizer(8, 2, initialization="papr"), "initialization = 'papr': must be one of paper, keras"),
    ],
)
def test_an_unknown_word_is_refused_with_the_known_ones(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ConvTokenizer([8], flip_equivariant=True, stride=2), "needs stride 1, .* not stride 2, "),
        (lambda: ConvTokenizer([8], flip_equivariant=True, use_bias=True), "no biases .* use_bias True and"),
        (lambda: ConvTokenizer([8, 7], flip_equivariant=True), r"even channels, .* and channels \[8, 7\]"),
        (lambda: ConvTokenizer([8], kernel_size=4), "kernel_size = 4: must be odd, because the padding"),
        (lambda: FlipConv2D(7, 3, of_images=True), "filters = 7: must be even, because one half mirrors the other"),
        (lambda: WordConvTokenizer(8, kernel_size=4), "padding = 1: must be at least 2, because kernel_size is 4"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_an_even_kernel_without_padding_trains_as_it_predicts():
    tokenizer, images = ConvTokenizer([4], kernel_size=4, padding="valid"), random_tokens(2, 9, 9, 3)
    np.testing.assert_allclose(array(tokenizer(images, training=True)), array(tokenizer(images)), atol=1e-5)
