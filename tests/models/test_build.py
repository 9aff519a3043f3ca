"""Models are built by name."""

import keras
import numpy as np
import pytest
from networks import NORMALIZED, array, built, random_images, randomized_norms

from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.cost import count_parameters, model_table
from cct.models.names import IMAGES, MODELS
from cct.models.saving import predict_logits
from cct.training.variables import parameters_of

# Trainable parameters for 32x32x3 and 10 classes of every model. Those of the README's and the paper's tables are facts
# about the authors' code and the Keras example; the others are the same code's. No change here is right.
PARAMETERS = {
    "cct_2_3x1": 236_299, "cct_2_3x2": 283_723, "cct_2_7x1": 227_083, "cct_2_7x2": 611_403,
    "cct_4_3x1": 434_699, "cct_4_3x2": 482_123, "cct_4_7x1": 425_483, "cct_4_7x2": 809_803,
    "cct_6_3x1": 3_233_803, "cct_6_3x2": 3_326_923, "cct_6_7x1": 3_215_371, "cct_6_7x2": 3_974_603,
    "cct_7_3x1": 3_760_139, "cct_7_3x2": 3_853_259, "cct_7_7x1": 3_741_707, "cct_7_7x2": 4_500_939,
    "cct_14_3x1": 20_805_899, "cct_14_3x2": 20_944_715, "cct_14_7x1": 20_778_251, "cct_14_7x2": 21_912_395,
    "cvt_2_2": 234_507, "cvt_2_4": 214_539, "cvt_2_8": 226_827, "cvt_2_16": 299_019,
    "cvt_4_2": 432_907, "cvt_4_4": 412_939, "cvt_4_8": 425_227, "cvt_4_16": 497_419,
    "cvt_6_2": 3_230_219, "cvt_6_4": 3_190_283, "cvt_6_8": 3_214_859, "cvt_6_16": 3_359_243,
    "cvt_7_2": 3_756_555, "cvt_7_4": 3_716_619, "cvt_7_8": 3_741_195, "cvt_7_16": 3_885_579,
    "vit_lite_2_2": 234_634, "vit_lite_2_4": 214_666, "vit_lite_2_8": 226_954, "vit_lite_2_16": 299_146,
    "vit_lite_4_2": 433_034, "vit_lite_4_4": 413_066, "vit_lite_4_8": 425_354, "vit_lite_4_16": 497_546,
    "vit_lite_6_2": 3_230_474, "vit_lite_6_4": 3_190_538, "vit_lite_6_8": 3_215_114, "vit_lite_6_16": 3_359_498,
    "vit_lite_7_2": 3_756_810, "vit_lite_7_4": 3_716_874, "vit_lite_7_8": 3_741_450, "vit_lite_7_16": 3_885_834,
    "vit": 4_771_082, "keras_example": 416_331,
}  # fmt: skip


def test_large_images():
    assert built("cct_7_7x2", image_shape=(224, 224, 3), classes=102).count_params() == 4_573_735
    assert built("cct_14_7x2", image_shape=(224, 224, 3), classes=1000).count_params() == 22_367_273


def test_every_model_has_its_parameters():
    assert {row.name: row.parameters for row in model_table()} == PARAMETERS
    assert PARAMETERS.keys() == MODELS[IMAGES].keys() - {"custom"}


@pytest.mark.parametrize("row", [row for row in model_table() if row.parameters < 5e6], ids=lambda row: row.name)
def test_the_table_says_what_a_model_has(row):
    """The larger ones take seconds each, and differ in their layers and sizes only."""
    network = built(row.name)
    assert row.parameters == sum(int(np.prod(v.shape)) for v in network.trainable_variables) == network.count_params()
    places = network.get_layer("tokenizer").output.shape[1]
    assert row.tokens == places + any(layer.name == "class_token" for layer in network.layers)
    assert network.output_shape == (None, 10)


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({"num_conv_layers": 4, "pool_after": [1, 2], "conv_channels": 80, "conv_norm": "batch"}, 418_523),
        ({"conv_bias": True, "conv_norm": "batch"}, 283_723 + 3 * (64 + 128)),
        ({"conv_norm": "batch", "flip_invariant": True}, 283_723 - 9 * (3 * 64 + 64 * 128) // 2 + (64 + 128)),
    ],
)
def test_the_moving_averages_of_norms_are_no_parameters(fields, parameters):
    size = {"height": 32, "width": 32, "channels": 3, "classes": 10}
    assert count_parameters(resolve_architecture(ModelParams(name="cct_2_3x2", **fields)), **size) == parameters
    network = built("cct_2_3x2", **fields)
    assert parameters_of(network) == parameters < network.count_params()
    network.trainable = False
    assert parameters_of(network) == parameters


@pytest.mark.parametrize("size", [(33, 17), (20, 32)])
@pytest.mark.parametrize("pooling", ["sequence", "class_token", "mean"])
def test_a_flip_invariant_model_gives_a_mirrored_image_the_same_logits(size, pooling):
    images = random_images(4, *size, 3)
    for invariant in (True, False):
        fields = {**NORMALIZED, "pooling": pooling, "flip_invariant": invariant}
        network = randomized_norms(built("cct_2_3x2", image_shape=(*size, 3), **fields))
        mirror, image = (array(network(one)) for one in (images[:, :, ::-1], images))
        assert (np.abs(mirror - image).max() < 1e-4 * np.ptp(image)) == invariant


def test_stochastic_depth_rises_with_depth():
    network = built("cct_4_3x1", stochastic_depth=0.3)
    rates = [network.get_layer(f"encoder_{i}").stochastic_depth for i in range(4)]
    np.testing.assert_allclose(rates, [0, 0.1, 0.2, 0.3])


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
