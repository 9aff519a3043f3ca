"""What a model looked at."""

import keras
import numpy as np
import pytest

from cct.evaluation.attention import attention_maps
from cct.models.architectures import ModelError, ModelParams, resolve_architecture
from cct.models.build import build_model
from cct.models.layers.encoder import EncoderBlock
from cct.tasks.image_classification.attention import image_attention


def make_model(*, image_shape=(8, 8, 3), **overrides) -> keras.Model:
    params = ModelParams(**{"name": "cct_2_3x2", "embed_dim": 16, "num_layers": 3, "num_conv_layers": 1} | overrides)
    return build_model(resolve_architecture(params), image_shape=image_shape, classes=4)


def random_images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)


@pytest.mark.parametrize("pooling", ["sequence", "class_token", "mean"])
def test_shares_sum_to_one(pooling):
    maps = attention_maps(make_model(pooling=pooling), random_images(5))
    assert maps.rollout_bln.shape == (5, 3, 16)
    assert (maps.rollout_bln >= 0).all()
    np.testing.assert_allclose(maps.rollout_bln.sum(axis=-1), 1, rtol=1e-5)
    assert (maps.pooling_bn is not None) == (pooling == "sequence")


def test_a_layer_that_attends_to_all_tokens_alike_spreads_half_of_each_share():
    model = make_model(num_layers=2)
    for block in (layer for layer in model.layers if isinstance(layer, EncoderBlock)):
        block.attention.qkv.kernel.assign(np.zeros(block.attention.qkv.kernel.shape))
    maps = attention_maps(model, random_images(3))
    after_one = maps.pooling_bn / 2 + 1 / 32
    np.testing.assert_allclose(maps.rollout_bln[:, 1], after_one, rtol=1e-5)
    np.testing.assert_allclose(maps.rollout_bln[:, 0], after_one / 2 + 1 / 32, rtol=1e-5)
    assert np.ptp(maps.pooling_bn) > 0


def test_a_class_token_starts_with_the_whole_share_and_is_left_out():
    model = make_model(pooling="class_token", num_layers=1)
    (block,) = (layer for layer in model.layers if isinstance(layer, EncoderBlock))
    maps = attention_maps(model, random_images(2))
    stream = keras.Model(model.inputs[0], block.input)(random_images(2))
    row_bn = keras.ops.convert_to_numpy(block.attention.attention_weights(block.norm_1(stream))).mean(axis=1)[:, 0, 1:]
    np.testing.assert_allclose(maps.rollout_bln[:, 0], row_bn / row_bn.sum(axis=-1, keepdims=True), rtol=1e-5)


def test_the_pooling_is_the_models_own():
    """The weights give the model's logits again."""
    model, images = make_model(), random_images(4)
    tokens_bnd = keras.ops.convert_to_numpy(keras.Model(model.inputs[0], model.get_layer("pool").input)(images))
    pooled_bd = np.einsum("bn,bnd->bd", attention_maps(model, images).pooling_bn, tokens_bnd)
    logits = keras.ops.convert_to_numpy(model.get_layer("head")(pooled_bd))
    np.testing.assert_allclose(logits, keras.ops.convert_to_numpy(model(images)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["sequence", "class_token"])
def test_a_flip_invariant_model_looks_at_mirrored_places_of_a_mirrored_image(pooling):
    model = make_model(image_shape=(9, 18, 3), num_layers=2, flip_invariant=True, pooling=pooling)
    for block in (layer for layer in model.layers if isinstance(layer, EncoderBlock)):
        block.attention.qkv.kernel.assign(30 * block.attention.qkv.kernel)  # new ones weigh all tokens nearly alike
    images = np.random.default_rng(0).integers(0, 256, (5, 9, 18, 3), np.uint8)
    found, mirror = (image_attention(model, one).titled() for one in (images, images[:, :, ::-1]))
    assert len(found) == 2 + (pooling == "sequence")
    for (_, share_bhw), (_, mirrored_bhw) in zip(found, mirror, strict=True):
        assert share_bhw.shape == (5, 5, 9)
        np.testing.assert_allclose(share_bhw.sum(axis=(1, 2)), 1, rtol=1e-5)
        np.testing.assert_allclose(mirrored_bhw, share_bhw[:, :, ::-1], rtol=1e-3)
        assert not np.allclose(mirrored_bhw, share_bhw, rtol=0.01)


def test_a_batch_is_as_its_images_alone(monkeypatch):
    model, images = make_model(), random_images(5)
    together = attention_maps(model, images)
    monkeypatch.setattr("cct.evaluation.attention.WEIGHTS_AT_ONCE", 1)
    alone = attention_maps(model, images)
    np.testing.assert_allclose(together.rollout_bln, alone.rollout_bln, rtol=1e-5)


@pytest.mark.parametrize("flip_invariant", [False, True])
def test_a_batch_has_no_more_weights_than_the_limit(monkeypatch, flip_invariant):
    """The encoder of a flip-invariant model reads the tokens of two images for each input."""
    model = make_model(image_shape=(9, 18, 3), num_layers=1, flip_invariant=flip_invariant)
    (block,) = (layer for layer in model.layers if isinstance(layer, EncoderBlock))
    weights_of, found = block.attention.attention_weights, []

    def counted(*inputs):
        weights = weights_of(*inputs)
        found.append(int(np.prod(weights.shape)))
        return weights

    monkeypatch.setattr(block.attention, "attention_weights", counted)
    tokens, limit = 5 * 9, 4 * block.num_heads * (5 * 9) ** 2
    monkeypatch.setattr("cct.evaluation.attention.WEIGHTS_AT_ONCE", limit)
    attention_maps(model, np.zeros((4, 9, 18, 3), np.uint8))
    assert found == [limit] * (1 + flip_invariant) and tokens == model.get_layer("pool").input.shape[1]


def test_a_model_of_other_layers_is_refused():
    images = keras.Input((8, 8, 3), dtype="uint8")
    model = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))
    with pytest.raises(ModelError, match="no attention"):
        attention_maps(model, random_images(1))


def test_images_have_their_shares_where_their_tokens_are():
    """The pooling looks at the brightest token, which is where the one bright patch is."""
    params = ModelParams(name="vit_lite_6_4", patch_size=4, embed_dim=16, num_layers=1, pooling="sequence",
                         positional_embedding="none")  # fmt: skip
    model = build_model(resolve_architecture(params), image_shape=(8, 12, 3), classes=2)
    images = np.zeros((6, 8, 12, 3), np.uint8)
    for place in range(6):
        row, column = divmod(place, 3)
        images[place, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 255
    score = model.get_layer("pool").score
    tokens_bnd = keras.ops.convert_to_numpy(keras.Model(model.inputs[0], model.get_layer("pool").input)(images))
    direction = tokens_bnd[0, 0] - tokens_bnd[0, 1]
    score.kernel.assign(100 * direction[:, None] / np.linalg.norm(direction) ** 2)
    found = image_attention(model, images)
    assert found.rollout_blhw.shape == (6, 1, 2, 3)
    assert found.pooling_bhw.reshape(6, 6).argmax(axis=1).tolist() == list(range(6))
    assert [title for title, _ in found.titled()] == ["layer 1", "pooling"]
