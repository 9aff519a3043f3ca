"""Layers and models, on the backend that the tests run on."""

import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest

from cct.errors import CCTError
from cct.models.architectures import MODEL_NAMES, ModelParams, resolve_architecture
from cct.models.build import build_model
from cct.models.cost import model_table
from cct.models.layers import encoder, tokenizers, tokens
from cct.models.layers.base import CCTLayer
from cct.models.layers.encoder import Attention, EncoderBlock, StochasticDepth
from cct.models.layers.tokenizers import ConvTokenizer, PatchTokenizer, Standardize
from cct.models.layers.tokens import ClassToken, FirstToken, PositionalEmbedding, SequencePool, sinusoidal_table
from cct.models.saving import load_model, predict_logits, save_model

# Trainable parameters for 32x32x3 and 10 classes: the authors' code, and for keras_example the published example. They
# are facts about those two; a change here is right only if they change.
PARAMETERS = {
    "cct_2_3x2": 283_723,
    "cct_4_3x2": 482_123,
    "cct_6_3x1": 3_233_803,
    "cct_6_3x2": 3_326_923,
    "cct_7_3x1": 3_760_139,
    "cct_7_3x2": 3_853_259,
    "cvt_2_4": 214_539,
    "cvt_4_4": 412_939,
    "cvt_6_4": 3_190_283,
    "cvt_7_4": 3_716_619,
    "vit_lite_2_4": 214_666,
    "vit_lite_4_4": 413_066,
    "vit_lite_6_4": 3_190_538,
    "vit_lite_7_4": 3_716_874,
    "keras_example": 416_331,
}
LAYERS = [
    Standardize([0.4, 0.5, 0.6], [0.2, 0.2, 0.3]),
    ConvTokenizer([8, 12], kernel_size=3, use_bias=True),
    ConvTokenizer([8], kernel_size=7, stride=2, initialization="keras"),
    ConvTokenizer([8, 12], padding="valid"),
    PatchTokenizer(12, 4, initialization="keras"),
    ClassToken(),
    FirstToken(),
    PositionalEmbedding("learnable"),
    PositionalEmbedding("sinusoidal"),
    StochasticDepth(0.25, seed=3),
    Attention(2, 6, qkv_bias=True, projection_dropout=0.1, attention_dropout=0.2),
    EncoderBlock(2, 6, 24, norm="pre", mlp_output="gelu", stochastic_depth=0.1, dropout=0.1, layer_norm_epsilon=1e-6),
    SequencePool(),
]


def random_images(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def random_tokens(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def array(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def built(name: str, *, image_shape=(32, 32, 3), classes=10, **fields):
    return build_model(
        resolve_architecture(ModelParams(name=name, **fields)),
        image_shape=image_shape,
        classes=classes,
        mean=[0.5] * image_shape[2],
        std=[0.25] * image_shape[2],
    )


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_parameter_counts_are_the_published_ones(name, count):
    assert built(name).count_params() == count


def test_large_images():
    assert built("cct_7_7x2", image_shape=(224, 224, 3), classes=102).count_params() == 4_573_735
    assert built("cct_14_7x2", image_shape=(224, 224, 3), classes=1000).count_params() == 22_367_273


def test_the_table_lists_every_model_with_what_it_has():
    rows = {row.name: row for row in model_table()}
    assert rows.keys() == set(MODEL_NAMES) - {"custom"}
    for name, row in rows.items():
        if row.parameters > 4e6:  # seconds each; their published counts are tested above
            continue
        network = built(name)
        assert row.parameters == sum(int(np.prod(v.shape)) for v in network.trainable_variables), name
        places = network.get_layer("tokenizer").output.shape[1]
        assert row.tokens == places + any(layer.name == "class_token" for layer in network.layers)
        assert network.output_shape == (None, 10)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_every_layer_is_its_configuration(layer):
    copy = type(layer).from_config(layer.get_config())
    for name in layer.arguments:
        assert getattr(copy, name) == getattr(layer, name), name
    assert (
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)).get_config()
        == layer.get_config()
    )


def test_no_layer_is_left_out_above():
    defined = {
        value for module in (tokenizers, tokens, encoder)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, CCTLayer) and value is not CCTLayer
    }  # fmt: skip
    assert defined == {type(layer) for layer in LAYERS}


def test_saved_models_give_the_same_logits_elsewhere(tmp_path):
    """In another process, which knows the files and nothing else."""
    names, images = ["cct_2_3x2", "keras_example", "vit_lite_2_8"], random_images(3, 32, 32, 3)
    networks = {name: built(name) for name in names}
    for name, network in networks.items():
        save_model(network, tmp_path / f"models/{name}.keras")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, numpy as np; from pathlib import Path; from cct.models.saving import load_model, predict_logits;"
        "folder = Path(sys.argv[1]);"
        "images = np.load(folder / 'images.npy');"
        "networks = {path.stem: load_model(path) for path in (folder / 'models').iterdir()};"
        "logits = {name: predict_logits(network, images, batch_size=2) for name, network in networks.items()};"
        "np.savez(folder / 'logits.npz', **logits)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120)
    with np.load(tmp_path / "logits.npz") as found:
        assert set(found.files) == set(names)
        for name, network in networks.items():
            assert found[name].dtype == np.float32 and found[name].shape == (3, 10)
            np.testing.assert_allclose(found[name], predict_logits(network, images, batch_size=3), atol=1e-6)


def test_saved_bytes_depend_on_the_function_alone(tmp_path):
    network = built("cct_2_3x1", image_shape=(8, 8, 1))
    save_model(network, tmp_path / "a.keras")
    keras.layers.Dense(3)  # moves Keras's counters of names and Python's ids
    save_model(network, tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    network.get_layer("head").bias.assign(np.full(10, 1e-7))
    save_model(network, tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() != (tmp_path / "b.keras").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "b.keras"]


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not a zip"])
def test_what_is_no_model_is_refused_in_words(tmp_path, content):
    path = tmp_path / "model.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CCTError, match=r"model\.keras is not a model of this project"):
        load_model(path)


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
    mixed = []
    for head in range(3):
        part = slice(k * head, k * head + k)
        logits = query[..., part] @ key[..., part].transpose(0, 2, 1) / np.sqrt(k)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        mixed.append(weights / weights.sum(-1, keepdims=True) @ value[..., part])
    kernel, shift = (array(v) for v in layer.projection.weights)
    expected = np.concatenate(mixed, -1) @ kernel + shift
    np.testing.assert_allclose(array(layer(x)), expected, atol=2e-5)


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
        assert array(kernel).max() == pytest.approx(array(other).max(), rel=0.02)
        assert array(kernel).std() == pytest.approx(array(other).std(), rel=0.05)


@pytest.mark.parametrize("k", [4, 8])
def test_attention_dropout_keeps_the_mean_and_leaves_inference_alone(k):
    x = np.repeat(random_tokens(1, 4, 8), 4000, axis=0)
    layer = Attention(2, k, qkv_bias=True, attention_dropout=0.5, initialization="keras")
    layer(x[:1])
    layer.qkv.bias.assign(random_tokens(6 * k, seed=3))
    inference, training = array(layer(x)), array(layer(x, training=True))
    np.testing.assert_allclose(training.mean(0), inference[0], atol=0.1)
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
    x = np.ones((2000, 3, 2), "float32")
    one, other = StochasticDepth(0.25), StochasticDepth(0.25)
    first, second = array(one(x, training=True)), array(other(x, training=True))
    assert set(np.unique(first)) == {0.0, np.float32(1 / 0.75)}
    assert (first == first[:, :1, :1]).all()
    assert abs((first[:, 0, 0] == 0).mean() - 0.25) < 0.04
    assert (first != second).any()
    np.testing.assert_array_equal(array(one(x)), x)


def test_stochastic_depth_rises_with_depth():
    network = built("cct_4_3x1", stochastic_depth=0.3)
    rates = [network.get_layer(f"encoder_{i}").stochastic_depth for i in range(4)]
    np.testing.assert_allclose(rates, [0, 0.1, 0.2, 0.3])


def test_the_model_standardizes_raw_images():
    layer = Standardize([0.2, 0.4, 0.6], [0.1, 0.2, 0.3])
    images = random_images(2, 4, 4, 3)
    np.testing.assert_allclose(array(layer(images)), (images / 255 - [0.2, 0.4, 0.6]) / [0.1, 0.2, 0.3], atol=1e-5)


def tokenize(images, kernels, *, stride, margin):
    """The authors' tokenizer as plain loops: convolution over padding, ReLU, maximum of 3x3 at every second place."""
    x = images
    for kernel in kernels:
        size = kernel.shape[0]
        padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        rows, columns = ((side + 2 * margin - size) // stride + 1 for side in x.shape[1:3])
        y = np.zeros((len(x), rows, columns, kernel.shape[-1]))
        for r in range(rows):
            for c in range(columns):
                window = padded[:, r * stride : r * stride + size, c * stride : c * stride + size]
                y[:, r, c] = np.maximum(np.tensordot(window, kernel, 3), 0)
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
    ("side", "kernel", "stride", "widths"), [(8, 3, 1, [4, 6]), (7, 3, 1, [4]), (21, 7, 2, [4, 6])]
)
def test_the_tokenizer_is_the_authors(side, kernel, stride, widths):
    """Padding on every side at every step: Keras's own "same" pads only right and below where there is a stride."""
    tokenizer = ConvTokenizer(widths, kernel_size=kernel, stride=stride)
    images = random_tokens(2, side, side, 3)
    found = array(tokenizer(images))
    kernels = [array(convolution.kernel) for convolution in tokenizer.convolutions]
    np.testing.assert_allclose(found, tokenize(images, kernels, stride=stride, margin=kernel // 2), atol=1e-5)


def test_mixed_precision_keeps_weights_and_logits_in_float32():
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        network = built("cct_2_3x1", image_shape=(8, 8, 1))
        assert {v.dtype for v in network.trainable_variables} == {"float32"}
        assert network.get_layer("encoder_0").compute_dtype == "bfloat16"
        logits = predict_logits(network, random_images(2, 8, 8, 1), batch_size=2)
        assert logits.dtype == np.float32 and np.isfinite(logits).all()
    finally:
        keras.config.set_dtype_policy("float32")


def test_too_small_a_image_is_refused_in_words():
    with pytest.raises(ValueError, match="leave nothing of an image this small"):
        built("keras_example", image_shape=(4, 4, 1))
    assert built("cct_2_7x2", image_shape=(4, 4, 1)).get_layer("tokenizer").output.shape == (None, 1, 128)
