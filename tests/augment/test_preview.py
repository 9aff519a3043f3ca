"""The figure of augmented images."""

import numpy as np
import pytest
from plans import ALL, ALONE, params, plan_of

from cct.augment.augmentations import AUGMENTATIONS
from cct.augment.preview import enabled_augmentations, preview_images
from cct.augment.sampling import apply_plan


def test_enabled_augmentations_are_named():
    assert enabled_augmentations(params()) == []
    everything = params(**ALL)
    assert enabled_augmentations(everything) == [
        "resized crop",
        "flip",
        "RandAugment",
        "random erasing",
        "MixUp",
        "CutMix",
    ]
    for changes, mixing in (
        ({"mix_epochs": 0}, []),
        ({"mix_prob": 0.0}, []),
        ({"mix_switch_prob": 0.0}, ["MixUp"]),
        ({"mix_switch_prob": 1.0}, ["CutMix"]),
        ({"mix_switch_prob": 0.0, "mixup_alpha": 0.0}, ["CutMix"]),  # a switch is for two
    ):
        assert enabled_augmentations(params(**ALL | changes))[4:] == mixing
    names = [enabled_augmentations(params(**changes)) for changes in ALONE.values()]
    assert all(len(name) == 1 for name in names) and len({name for (name,) in names}) == len(ALONE)


def test_few_classes_have_several_images_each():
    images = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    for labels, expected in (
        ([7, 7, 7, 2, 2, 5] + [5] * 34, [0, 3, 5, 1, 4, 6, 2, 7]),
        ([0] * 38 + [1] * 2, [0, 38, 1, 39, 2, 3, 4, 5]),
        ([1, 1, 0, 0, 0], [0, 2, 1, 3]),  # an even number
        ([*range(9)] * 2, [*range(8)]),
    ):
        rows = preview_images(images[: len(labels)], np.array(labels), params())
        assert rows["original"][:, 0, 0, 0].tolist() == expected


@pytest.mark.parametrize(("classes", "columns"), [(2, 8), (3, 8), (8, 8), (10, 8)])
@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3)])
def test_examples_have_a_row_for_each_kind(classes, columns, shape):
    rng = np.random.default_rng(3)
    images, labels = rng.integers(0, 256, (100, *shape), dtype=np.uint8), np.arange(100) % classes
    chosen = params(crop_padding=2, horizontal_flip=True)
    rows = preview_images(images, labels, chosen)
    kinds = [title for augmentation in AUGMENTATIONS.values() for title in augmentation.alone(chosen, shape[0])]
    assert [*rows] == ["original", *kinds, "as in params.yaml"]
    assert all(row.shape == (columns, *shape) and row.dtype == np.uint8 for row in rows.values())
    np.testing.assert_array_equal(rows["original"], images[:columns])
    both = apply_plan(rows["crop (padding 2)"], np.eye(columns), plan_of(horizontal_flip=True, shape=(columns, *shape)))
    np.testing.assert_array_equal(rows["as in params.yaml"], both[0])
    assert all(name == "original" or not np.array_equal(row, rows["original"]) for name, row in rows.items())
    strong = preview_images(images, labels, params(**ALL, mix_epochs=0, mix_prob=0.0))
    assert {"resized crop (from 0.3)", "RandAugment (2, 9)", "MixUp (alpha 0.8)", "CutMix (alpha 1)"} < strong.keys()
    np.testing.assert_array_equal(strong["MixUp (alpha 0.8)"], rows["MixUp (alpha 0.8)"])
