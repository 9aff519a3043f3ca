"""A model's weights in another model, for fine-tuning: what is copied, what is fitted, what is new."""

import numpy as np
import pytest
from networks import FLIP, NORMALIZED, array, built, random_images, randomized_norms

from cct.models.architectures import ModelParams, resolve_architecture, resolve_text_architecture
from cct.models.build import build_model
from cct.models.build_text import build_text_model
from cct.models.saving import predict_logits
from cct.models.transfer import WeightsError, copy_weights, fit_channels, initialize_from, interpolate_positions

ANIMALS = ["cat", "dog", "frog"]


def transfer(source, target, name: str, classes=ANIMALS, source_classes=ANIMALS, **fields) -> str:
    architecture = resolve_architecture(ModelParams(name=name, **fields))
    shape = target.input_shape[1:]
    return initialize_from(
        source, target, architecture, image_shape=shape, source_classes=source_classes, classes=classes
    )


def randomized(model):
    """All weights at random, so that none is left as a new model has it."""
    generator = np.random.default_rng(3)
    for variable in model.weights:
        variable.assign(generator.normal(0.1, 0.2, variable.shape).astype("float32"))
    return randomized_norms(model)


def test_interpolation_is_bilinear_between_cell_centres():
    ramp = np.arange(4.0).reshape(1, 4, 1)  # rows 0 1 / 2 3
    found = interpolate_positions(ramp, (4, 4))[0, :, 0].reshape(4, 4)
    np.testing.assert_allclose(found[0], [0, 0.25, 0.75, 1])
    np.testing.assert_allclose(found[:, 0], [0, 0.5, 1.5, 2])
    np.testing.assert_array_equal(interpolate_positions(ramp, (2, 2)), ramp)


@pytest.mark.parametrize("name", ["cvt_2_8", "vit_lite_2_8"])
@pytest.mark.parametrize("shape", [(16, 64), (64, 16), (32, 64), (16, 16)])
def test_positions_of_images_that_are_not_square_are_interpolated_in_their_grid(name, shape):
    """From 2 rows of 8 tokens, whose number is also that of a square grid, and of 8 rows of 2."""
    a = resolve_architecture(ModelParams(name=name))
    source, target = (build_model(a, image_shape=(*size, 3), classes=10) for size in ((16, 64), shape))
    first, table = int(a.pooling == "class_token"), source.get_layer("positional_embedding").table
    ramp = np.zeros(table.shape, np.float32)
    ramp[0, first:, 0], ramp[0, first:, 1] = np.divmod(np.arange(16), 8)  # its row and its column
    table.assign(ramp)
    said = initialize_from(source, target, a, image_shape=(*shape, 3))
    assert ("positions interpolated from 2x8 to" in said) == (shape != (16, 64))
    found = array(target.get_layer("positional_embedding").table)[0, first:]
    rows, columns = shape[0] // 8, shape[1] // 8
    middle_r, middle_c = (np.arange(rows) + 0.5) * 2 / rows - 0.5, (np.arange(columns) + 0.5) * 8 / columns - 0.5
    np.testing.assert_allclose(found[:, 0].reshape(rows, columns)[:, 0], middle_r.clip(0, 1), atol=1e-6)
    np.testing.assert_allclose(found[:, 1].reshape(rows, columns)[0], middle_c.clip(0, 7), atol=1e-6)


@pytest.mark.parametrize(("fields", "tensors"), [({}, 31), (NORMALIZED, 44), (FLIP, 44)])
def test_a_model_of_the_same_classes_is_copied_whole(fields, tensors):
    """With the moving averages of its norms."""
    source, target = randomized(built("cct_2_3x2", classes=3, **fields)), built("cct_2_3x2", classes=3, **fields)
    said = transfer(source, target, "cct_2_3x2", **fields)
    assert said == f"{tensors} of {tensors} tensors copied, head with the same classes"
    images = random_images(2, 32, 32, 3)
    np.testing.assert_array_equal(
        predict_logits(target, images, batch_size=2), predict_logits(source, images, batch_size=2)
    )


def test_a_flip_invariant_model_starts_one_for_images_of_another_size():
    source, target = (
        randomized_norms(built("cct_2_3x2", image_shape=(*size, 3), **FLIP)) for size in ((32, 32), (20, 41))
    )
    said = transfer(source, target, "cct_2_3x2", **FLIP, classes=[], source_classes=None)
    assert said.startswith("42 of 44 tensors copied, positions interpolated from 8x8 to 5x11, head new")
    images = random_images(2, 20, 41, 3)
    mirror, image = (predict_logits(target, one, batch_size=2) for one in (images[:, :, ::-1], images))
    np.testing.assert_allclose(mirror, image, atol=1e-4)


def test_the_head_follows_the_names_of_the_classes():
    """In another order: the same logit for the same name."""
    source, target = randomized(built("vit_lite_2_8", classes=3)), built("vit_lite_2_8", classes=3)
    said = transfer(source, target, "vit_lite_2_8", classes=["frog", "cat", "dog"])
    assert said.endswith(", head matched by class names")
    images = random_images(2, 32, 32, 3)
    ours, theirs = (predict_logits(model, images, batch_size=2) for model in (target, source))
    np.testing.assert_allclose(ours, theirs[:, [2, 0, 1]], atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (ANIMALS, ["cat", "dog", "bird"], "other classes"),
        (ANIMALS, ["cat", "dog"], "other classes"),
        (None, ANIMALS, "the file names no classes"),
    ],
)
def test_the_head_of_other_classes_is_new(old, new, why):
    source, target = randomized(built("cct_2_3x2", classes=3)), built("cct_2_3x2", classes=len(new))
    before = target.get_layer("head").get_weights()
    said = transfer(source, target, "cct_2_3x2", classes=new, source_classes=old)
    assert said == f"29 of 31 tensors copied, head new ({why})"
    for ours, fresh in zip(target.get_layer("head").get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, fresh)
    for layer in ("tokenizer", "positional_embedding", "encoder_0", "encoder_1", "norm", "pool"):
        for ours, theirs in zip(target.get_layer(layer).weights, source.get_layer(layer).weights, strict=True):
            np.testing.assert_array_equal(array(ours), array(theirs))


def test_channels_are_summed_or_repeated_as_timm_does():
    kernel = np.arange(2 * 2 * 3 * 4, dtype="float32").reshape(2, 2, 3, 4)
    np.testing.assert_array_equal(fit_channels(kernel, 1), kernel.sum(axis=2, keepdims=True))
    grey = kernel[:, :, :1]
    np.testing.assert_allclose(fit_channels(grey, 3), np.repeat(grey, 3, axis=2) / 3, rtol=1e-6)
    four = fit_channels(kernel, 4)
    np.testing.assert_array_equal(four, kernel[:, :, [0, 1, 2, 0]] * np.float32(0.75))


@pytest.mark.parametrize("name", ["cct_2_3x2", "cct_2_7x1", "vit_lite_2_8"])
@pytest.mark.parametrize("old", [1, 3])
def test_a_grey_image_gives_the_same_logits_in_colour(name, old):
    """One channel or three equal ones, where each is standardized alike."""
    shapes = (32, 32, old), (32, 32, 4 - old)
    source, target = (built(name, image_shape=shape, classes=3) for shape in shapes)
    said = transfer(randomized(source), target, name)
    assert f"first convolution {'repeated' if old == 1 else 'summed'} from {old} to {4 - old} channels" in said
    grey = random_images(2, 32, 32, 1)
    colour = np.repeat(grey, 3, axis=3)
    images = {1: grey, 3: colour}
    ours, theirs = (predict_logits(m, images[m.input_shape[-1]], batch_size=2) for m in (target, source))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_size_channels_and_classes_may_all_differ():
    source = randomized(built("vit_lite_2_8", classes=10))
    target = built("vit_lite_2_8", image_shape=(64, 64, 1), classes=3)
    said = transfer(source, target, "vit_lite_2_8", source_classes=list("abcdefghij"))
    assert said == (
        "28 of 30 tensors copied, positions interpolated from 4x4 to 8x8, "
        "first convolution summed from 3 to 1 channels, head new (other classes)"
    )
    table, theirs = (array(m.get_layer("positional_embedding").table) for m in (target, source))
    np.testing.assert_array_equal(table[:, 0], theirs[:, 0])  # of the class token
    np.testing.assert_array_equal(table[:, 1:], interpolate_positions(theirs[:, 1:], (8, 8)))


@pytest.mark.parametrize(
    ("other", "fields", "problem"),
    [
        ("cct_4_3x1", {}, "only in the new model: encoder_2/"),
        ("cct_2_7x2", {}, "shapes differ: tokenizer/convolution_0/kernel"),
    ],
)
def test_another_architecture_is_refused_and_nothing_is_changed(other, fields, problem):
    source, target = built("cct_2_3x2", classes=3), built(other, classes=3, **fields)
    before = target.get_weights()
    with pytest.raises(WeightsError, match="weights do not fit:") as refused:
        transfer(source, target, other, **fields)
    assert problem in str(refused.value)
    for old, new in zip(before, target.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"num_heads": 4}, "encoder_0: num_heads 2, needed 4"),
        ({"norm": "pre"}, "encoder_0: norm 'stream', needed 'pre'"),
        ({"mlp_output": "gelu"}, "encoder_1: mlp_output 'linear', needed 'gelu'"),
        ({"layer_norm_epsilon": 0.5}, "norm: epsilon 1e-05, needed 0.5"),
    ],
)
def test_fine_tuning_another_function_of_equal_shapes_is_refused(change, line):
    source = built("cct_2_3x1", classes=3, dropout=0.1)
    target = built("cct_2_3x1", classes=3, **change)
    with pytest.raises(WeightsError) as caught:
        transfer(source, target, "cct_2_3x1", **change)
    assert line in str(caught.value)
    options = {"dropout": 0.3, "stochastic_depth": 0.0}  # of the training, not of the function
    other = built("cct_2_3x1", classes=3, **options)
    assert "tensors copied" in transfer(source, other, "cct_2_3x1", **options)


def test_a_model_of_texts_is_fine_tuned_with_another_dropout():
    source, target = (
        build_text_model(
            resolve_text_architecture(ModelParams(name="text_cct_2_2", word_dim=8, dropout=rate)),
            length=8, vocabulary_size=9, classes=3,
        )
        for rate in (0.1, 0.3)
    )  # fmt: skip
    assert "tensors copied" in copy_weights(source, target, [], source_classes=ANIMALS, classes=ANIMALS)
