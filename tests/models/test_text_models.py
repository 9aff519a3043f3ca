"""Models of texts: their sizes are the published ones, and what is no word changes nothing."""

import keras
import numpy as np
import pytest
from networks import array, random_tokens
from test_architectures import params, refusal

from cct.errors import CCTError
from cct.models.architectures import ModelParams, resolve_architecture, resolve_text_architecture
from cct.models.build_text import EMBEDDING, build_text_model
from cct.models.fields import TextArchitecture
from cct.models.layers.encoder import Attention
from cct.models.layers.words import WordConvTokenizer, WordEmbedding
from cct.models.names import MODELS, TEXTS
from cct.models.saving import load_model, predict_logits, save_model
from cct.models.text_cost import count_text_parameters, text_cost, text_model_table
from cct.models.workload import workload
from cct.words import MOST_WORDS

# Parameters without the vectors of words, for 64 words of 300 dimensions and 4 classes. Those of text_cct are published
# in the authors' nlp/README.md; the others are the same code's. No change here is right.
PARAMETERS = {
    "text_cct_2_1": 237_701, "text_cct_2_2": 276_101, "text_cct_2_4": 352_901,
    "text_cct_4_1": 436_101, "text_cct_4_2": 474_501, "text_cct_4_4": 551_301,
    "text_cct_6_1": 3_236_613, "text_cct_6_2": 3_313_413, "text_cct_6_4": 3_467_013,
    "text_cvt_2_1": 237_701, "text_cvt_2_2": 276_101, "text_cvt_2_4": 352_901,
    "text_cvt_4_1": 436_101, "text_cvt_4_2": 474_501, "text_cvt_4_4": 551_301,
    "text_cvt_6_1": 831_877, "text_cvt_6_2": 870_277, "text_cvt_6_4": 947_077,
    "text_vit_lite_2_1": 237_700, "text_vit_lite_2_2": 276_100, "text_vit_lite_2_4": 352_900,
    "text_vit_lite_4_1": 436_100, "text_vit_lite_4_2": 474_500, "text_vit_lite_4_4": 551_300,
    "text_vit_lite_6_1": 3_236_612, "text_vit_lite_6_2": 3_313_412, "text_vit_lite_6_4": 3_467_012,
    "text_transformer_2": 1_086_304, "text_transformer_4": 2_170_504, "text_transformer_6": 4_336_504,
}  # fmt: skip
SMALL = {"word_dim": 12, "embed_dim": 16, "num_layers": 2}
FAMILIES = ["text_cct_2_1", "text_cct_2_2", "text_cct_2_4", "text_cvt_2_2", "text_vit_lite_2_4", "text_transformer_2"]


def architecture(name: str, **fields) -> TextArchitecture:
    return resolve_text_architecture(params(name, **fields))


def small(name: str, **fields) -> TextArchitecture:
    """A model of few numbers, in which chance is turned off."""
    size = SMALL | ({"embed_dim": None} if "transformer" in name else {})
    return architecture(name, **size | fields)


def with_weights(network, seed: int = 0):
    """Random weights that are the same in models of any length."""
    for place, variable in enumerate(network.trainable_variables):
        value = random_tokens(*variable.shape, seed=seed + place) / max(1, np.prod(variable.shape[:-1])) ** 0.5
        variable.assign(value + variable.path.endswith("gamma"))
    return network


def texts(lengths, *, width: int, seed: int = 0) -> np.ndarray:
    """Random words from 1 to 29 and padding."""
    words = np.random.default_rng(seed).integers(1, 30, (len(lengths), max(lengths)))
    out = np.zeros((len(lengths), width), np.int32)
    for row, length in enumerate(lengths):
        out[row, :length] = words[row, :length]
    return out


def test_every_model_has_its_parameters():
    assert {row.name: row.parameters for row in text_model_table()} == PARAMETERS
    assert PARAMETERS.keys() == MODELS[TEXTS].keys() - {"text_custom"}


@pytest.mark.parametrize("name", [*FAMILIES, "text_cct_4_4", "text_cvt_6_1"])
def test_the_table_says_what_a_model_has(name):
    a = architecture(name)
    network = build_text_model(a, length=64, vocabulary_size=50, classes=4)
    vectors = network.get_layer(EMBEDDING).count_params()
    assert (vectors, network.count_params() - vectors) == (50 * 300, PARAMETERS[name])
    assert count_text_parameters(a, length=64, classes=4, vocabulary_size=50) == network.count_params()
    assert text_cost(a, length=64, classes=4).tokens == network.get_layer("encoder_0").output.shape[1]
    assert (network.input_shape, network.output_shape) == ((None, 64), (None, 4))


@pytest.mark.parametrize(("kernel", "tokens"), [(1, 34), (2, 33), (4, 33)])
def test_64_words_give_the_authors_tokens(kernel, tokens):
    assert text_cost(architecture(f"text_cct_2_{kernel}"), length=64, classes=4).tokens == tokens


@pytest.mark.parametrize(
    ("name", "fields"),
    [(name, {}) for name in FAMILIES]
    + [("text_cct_2_2", fields) for fields in ({"conv_bias": True}, {"pooling": "mean"}, {"head_dim": 16})],
    ids=str,
)
def test_padding_changes_no_answer(name, fields):
    """The same texts in arrays of 8 words, which some fill, and of 32."""
    lengths, logits = [1, 2, 3, 5, 7, 8], []
    for width in (8, 32):
        network = build_text_model(small(name, **fields), length=width, vocabulary_size=30, classes=5)
        logits.append(predict_logits(with_weights(network), texts(lengths, width=width), batch_size=4))
    assert np.abs(logits[0]).max() > 0.1 and np.abs(logits[0][0] - logits[0][1]).max() > 1e-3
    np.testing.assert_allclose(*logits, atol=1e-5 * np.abs(logits[0]).max())


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 6, 7])
def test_the_mask_of_a_convolution_is_that_of_an_array_that_ends_with_the_text(kernel):
    """Whatever the kernel, and so the stride."""
    a = small("text_cct_2_2", kernel_size=kernel)
    layer = WordConvTokenizer(4, kernel_size=kernel, stride=a.stride, padding=a.padding)
    for length in range(1, 9):
        vectors = random_tokens(1, length, 3)
        alone, valid = (array(found) for found in layer(vectors, np.ones((1, length), bool)))
        padded, also = (
            array(found)
            for found in layer(np.pad(vectors, ((0, 0), (0, 9), (0, 0))), np.arange(length + 9)[None] < length)
        )
        assert valid.any() and not also[:, valid.shape[1] :].any()
        np.testing.assert_array_equal(also[:, : valid.shape[1]], valid)
        np.testing.assert_allclose(padded[:, : valid.shape[1]], alone, atol=1e-5 * np.abs(alone).max())


def test_the_tokenizer_is_the_authors():
    """Convolution over padding, ReLU, maximum of two at every second place, as plain loops."""
    layer, x = WordConvTokenizer(6, kernel_size=4, padding=2), random_tokens(2, 9, 5)
    tokens, valid = (array(found) for found in layer(x, np.ones((2, 9), bool)))
    kernel, padded = array(layer.convolution.kernel), np.pad(x, ((0, 0), (2, 2), (0, 0)))
    y = np.stack([np.maximum(np.tensordot(padded[:, place : place + 4], kernel, 2), 0) for place in range(10)], 1)
    y = np.pad(y, ((0, 0), (1, 1), (0, 0)))
    np.testing.assert_allclose(tokens, np.stack([y[:, p : p + 2].max(1) for p in range(0, 11, 2)], 1), atol=1e-5)
    assert valid.all() and tokens.shape == (2, 6, 6)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_text_without_a_word_has_finite_logits(name):
    network = with_weights(build_text_model(small(name), length=8, vocabulary_size=30, classes=5))
    assert np.isfinite(predict_logits(network, np.zeros((2, 8), np.int32), batch_size=2)).all()


def test_no_token_attends_to_one_that_does_not_count():
    """In training as in inference, and where the projections are folded."""
    x, valid = random_tokens(2, 6, 8), np.arange(6) < [[3], [6]]
    for head_dim in (4, 8):
        layer = Attention(2, head_dim, qkv_bias=True, attention_dropout=1e-9, initialization="keras")
        for training in (False, True):
            found = array(layer(x, valid, training=training))
            np.testing.assert_allclose(found[:1, :3], array(layer(x[:1, :3], training=training)), atol=1e-5)
            np.testing.assert_allclose(found[1:], array(layer(x[1:], training=training)), atol=1e-5)


def test_mixup_mixes_the_vectors_of_mirrored_texts_in_training_alone():
    layer, words = WordEmbedding(30, 4), texts([2, 5, 3], width=6)
    plain, valid = (array(found) for found in layer(words))
    assert not plain[0, 2:].any() and (valid == (words > 0)).all()
    same, _ = layer(words, training=True)
    np.testing.assert_allclose(array(same), plain)
    weight = np.array([[64], [0], [256]], np.int32)
    mixed, also = (array(found) for found in layer(words + MOST_WORDS * weight, training=True))
    share = weight[:, :, None] / 256
    np.testing.assert_allclose(mixed, (1 - share) * plain + share * plain[::-1], atol=1e-6)
    np.testing.assert_array_equal(also, valid | (valid[::-1] & (weight > 0)))


@pytest.mark.parametrize("frozen", [True, False])
def test_given_vectors_are_trained_unless_they_are_frozen(frozen, tmp_path):
    vectors = random_tokens(30, 12)
    a = small("text_cct_2_2", attention_dropout=0.0, stochastic_depth=0.0)
    network = build_text_model(a, length=8, vocabulary_size=30, classes=5, vectors_vd=vectors, frozen=frozen)
    network.compile(keras.optimizers.SGD(0.1), keras.losses.CategoricalCrossentropy(from_logits=True))
    words = texts([3, 8, 5], width=8)
    network.train_on_batch(words, np.eye(5, dtype="float32")[:3])
    table, used = array(network.get_layer(EMBEDDING).table), np.isin(np.arange(30), words[words > 0])
    np.testing.assert_array_equal(table[~used], vectors[~used])
    assert (table[used] == vectors[used]).all() == frozen
    save_model(network, tmp_path / "a.keras")
    loaded = load_model(tmp_path / "a.keras")
    assert loaded.get_layer(EMBEDDING).trainable != frozen
    np.testing.assert_array_equal(
        predict_logits(loaded, words, batch_size=3), predict_logits(network, words, batch_size=3)
    )


@pytest.mark.parametrize(
    ("name", "fields", "line"),
    [
        ("text_cct_2_2", {"num_conv_layers": 2}, "has no use: the tokenizer of text_cct_2_2 is conv, for texts"),
        ("text_cct_2_2", {"patch_size": 2}, "has no use: the tokenizer of text_cct_2_2 is conv, for texts"),
        ("text_cvt_2_2", {"conv_bias": True}, "has no use: the tokenizer of text_cvt_2_2 is patch, for texts"),
        (
            "text_transformer_2",
            {"embed_dim": 64, "word_dim": 300},
            "embed_dim 64 must be word_dim 300, because without a tokenizer a token is a word: set embed_dim to null,",
        ),
        (
            "text_cct_2_2",
            {"tokenizer": "none", "word_dim": 50, "mlp_ratio": 0.01},
            "tokenizer = 'none': mlp_ratio 0.01 leaves the MLP no unit at word_dim 50: at least 0.02",
        ),
        ("text_cct_2_2", {"mlp_ratio": 0.001}, "mlp_ratio 0.001 leaves the MLP no unit at embed_dim 128: at least 0.0"),
        ("text_cct_2_2", {"num_heads": 3}, "num_heads 3 does not divide embed_dim 128: choose a num_heads that does"),
        (
            "text_transformer_2",
            {"num_heads": 7, "word_dim": 50},
            "num_heads 7 does not divide word_dim 50: choose a nu",
        ),
        ("cct_2_3x2", {"freeze_embeddings": True}, "has no use: cct_2_3x2 takes images"),
        ("text_custom", {}, "num_layers must be given, because the name is text_custom"),
        ("cct_2_3x2", {"word_dim": 50}, "has no use: cct_2_3x2 takes images"),
        ("cct_2_3x2", {"tokenizer": "none"}, "cct_2_3x2 takes images, so it must be one of conv, patch, or null"),
    ],
)
def test_refused(name, fields, line):
    assert line in refusal(name, **fields)[0]


@pytest.mark.parametrize(
    ("name", "fields", "width", "head_dim"),
    [
        ("text_cct_2_2", {"tokenizer": "none", "word_dim": 100, "num_heads": 5}, 100, 20),
        (
            "text_transformer_2",
            {"tokenizer": "conv", "kernel_size": 2, "embed_dim": 128, "num_heads": 8, "word_dim": 300},
            128,
            16,
        ),
        ("text_transformer_2", {"tokenizer": "conv", "kernel_size": 2, "embed_dim": 128, "num_heads": 8}, 128, 16),
    ],
)
def test_heads_divide_the_width_that_the_tokenizer_makes(name, fields, width, head_dim):
    a = architecture(name, **fields)
    assert (a.embed_dim, a.head_dim) == (width, head_dim)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("word_dim", 50), ("num_layers", 3), ("num_heads", 4), ("embed_dim", 64), ("head_dim", 5), ("mlp_ratio", 2.5),
        ("mlp_output", "gelu"), ("norm", "pre"), ("qkv_bias", True), ("kernel_size", 5), ("conv_bias", True),
        ("pooling", "class_token"), ("positional_embedding", "learnable"), ("dropout", 0.2),
        ("attention_dropout", 0.0), ("stochastic_depth", 0.0), ("layer_norm_epsilon", 1e-3),
    ],
)  # fmt: skip
def test_one_override_changes_one_field(field, value):
    plain, other = (architecture("text_cct_2_2", **change).model_dump() for change in ({}, {field: value}))
    follows = {"num_heads": {"head_dim"}, "embed_dim": {"head_dim"}, "kernel_size": {"padding"}}.get(field, set())
    assert {key for key in plain if plain[key] != other[key]} == {field} | follows and other[field] == value


def test_another_tokenizer_makes_another_family():
    assert architecture("text_cct_2_2", tokenizer="patch", patch_size=4) == architecture("text_cvt_2_4")
    assert architecture("text_cct_2_2", tokenizer="none", pooling="class_token") == architecture("text_transformer_2")
    custom = {"num_layers": 2, "num_heads": 2, "embed_dim": 128, "mlp_ratio": 1, "positional_embedding": "sinusoidal"}
    assert architecture("text_custom", **custom, tokenizer="conv", kernel_size=2) == architecture("text_cct_2_2")


def test_pretrained_vectors_have_the_width_unless_a_parameter_says_it():
    assert resolve_text_architecture(ModelParams(name="text_cct_2_2"), word_dim=100).word_dim == 100
    assert resolve_text_architecture(ModelParams(name="text_cct_2_2", word_dim=50), word_dim=100).word_dim == 50
    assert resolve_text_architecture(ModelParams(name="text_transformer_2"), word_dim=100).embed_dim == 100
    with pytest.raises(CCTError, match="model: num_heads 4 does not divide word_dim 50"):
        resolve_text_architecture(ModelParams(name="text_transformer_6"), word_dim=50)
    eight = ModelParams(name="text_transformer_4", num_heads=8)  # fits vectors of 200 dimensions, and not of 300
    assert resolve_text_architecture(eight, word_dim=200).head_dim == 25
    with pytest.raises(CCTError, match="model: num_heads 8 does not divide word_dim 300"):
        resolve_text_architecture(eight)
    wide = ModelParams(name="text_transformer_2", embed_dim=100)  # fits vectors of 100 dimensions, and not of 300
    assert resolve_text_architecture(wide, word_dim=100).embed_dim == 100
    for width in (None, 300):
        with pytest.raises(
            CCTError, match=r"model: embed_dim 100 must be word_dim 300, .* a word: set embed_dim to nu"
        ):
            resolve_text_architecture(wide, word_dim=width)
    small_ratio = ModelParams(name="text_transformer_2", mlp_ratio=0.01)
    assert resolve_text_architecture(small_ratio, word_dim=100).hidden_dim == 1
    with pytest.raises(CCTError, match=r"model: mlp_ratio 0.01 leaves the MLP no unit at word_dim 50: at least 0.02$"):
        resolve_text_architecture(small_ratio, word_dim=50)


def test_a_model_of_the_other_task_is_one_sentence():
    with pytest.raises(CCTError, match=r"^model.name = cct_2_3x2 takes images, and the data are texts: choose one of"):
        resolve_text_architecture(ModelParams(name="cct_2_3x2"))
    with pytest.raises(CCTError, match=r"^model.name = text_cct_2_1 takes texts, and the data are images: choose one"):
        resolve_architecture(ModelParams(name="text_cct_2_1"))


def test_a_length_that_does_not_fit_is_refused_in_words():
    with pytest.raises(
        CCTError, match=r"patches of 4 words do not fill texts of 10: set preprocess.max_length to a mu"
    ):
        build_text_model(small("text_cvt_2_4"), length=10, vocabulary_size=9, classes=2)
    with pytest.raises(CCTError, match="a convolution over 9 words leaves nothing of texts of 0"):
        text_cost(small("text_cct_2_2", kernel_size=9), length=0, classes=2)


def test_the_work_of_models_is_compared_within_a_task():
    assert workload({"name": "text_cct_2_1"}) < workload({"name": "text_cct_6_1"})
    assert workload({"name": "cct_2_3x2"}) > 3e7 and workload({"name": "vit", "patch_size": 5}) == 1.0
