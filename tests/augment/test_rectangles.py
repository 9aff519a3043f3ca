"""Crops, holes and exchanged boxes have the distributions in their sources."""

from collections import Counter

import numpy as np
import pytest
from plans import COUNT, array, changed, near, plan_of, unlikely

from cct.augment import ops
from cct.augment.sampling import apply_plan


@pytest.mark.parametrize("width", [1000, 4000])
def test_resized_crops_have_the_area_and_aspect_of_torchvision(width):
    """Of an image so large that rounding is no matter, and a smallest area so small that nearly all fit at once.

    Aspects are relative to the image's, which is 1 in torchvision's own use.
    """
    boxes_n4 = array(plan_of(resized_crop=0.08, shape=(COUNT, 1000, width, 3)), "box_n4")
    top_n, left_n, rows_n, columns_n = boxes_n4.T
    assert (boxes_n4[:, 2:] >= 1).all() and (boxes_n4[:, :2] >= 0).all()
    assert (top_n + rows_n <= 1000).all() and (left_n + columns_n <= width).all()
    area_n, aspect_n = rows_n * columns_n / (1000 * width), columns_n / rows_n * 1000 / width
    assert 0.079 < area_n.min() < 0.081 and aspect_n.min() > 0.74 and aspect_n.max() < 1.35
    small = area_n < 0.7  # whatever the aspect, these fit
    assert not unlikely(np.histogram(area_n[small], 20, (0.08, 0.7))[0], small.sum() / 20)
    log_n = np.log(aspect_n[small]) / np.log(4 / 3)
    assert not unlikely(np.histogram(log_n, 20, (-1, 1))[0], small.sum() / 20)
    place_n = (top_n + 0.5) / (1001 - rows_n)
    assert not unlikely(np.histogram(place_n, 20, (0, 1))[0], COUNT / 20)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (100, 30), (30, 100), (30, 39)])
def test_what_never_fits_is_the_whole_image(height, width):
    """The whole area at an aspect other than the image's: only the fallback is left."""
    boxes_n4 = array(plan_of(resized_crop=1.0, shape=(3000, height, width, 3)), "box_n4")
    found = Counter(map(tuple, boxes_n4.tolist()))
    assert found[0, 0, height, width] / 3000 > 0.3
    # A side that is rounded down to the image's leaves at most half a pixel of the other side.
    assert all(rows * columns > (height - 1) * (width - 1) for _, _, rows, columns in found)


@pytest.mark.parametrize(("height", "width"), [(12, 40), (512, 8)])
def test_crops_of_long_images_are_at_many_places(height, width):
    """With absolute aspects all were one box in the middle, which left most of the image out."""
    top_n, left_n, rows_n, columns_n = array(plan_of(resized_crop=0.5, shape=(3000, height, width, 3)), "box_n4").T
    assert {0, max(height, width) // 4} <= {*top_n.tolist(), *left_n.tolist()}
    assert (rows_n * columns_n).min() < 0.6 * height * width < (rows_n * columns_n).max()


def test_erasing_is_timms():
    holes_n4 = array(plan_of(random_erasing_prob=0.25, shape=(4 * COUNT, 300, 300, 3)), "hole_n4")
    assert near(holes_n4[:, 2] > 0, 0.25)
    assert not holes_n4[holes_n4[:, 2] == 0].any()
    top_n, left_n, rows_n, columns_n = holes_n4[holes_n4[:, 2] > 0].T
    assert (top_n + rows_n <= 300).all() and (left_n + columns_n <= 300).all()
    area_n, aspect_n = rows_n * columns_n / 9e4, columns_n / rows_n
    assert area_n.min() > 0.019 and area_n.max() < 0.335 and aspect_n.min() > 0.29 and aspect_n.max() < 3.4
    small = area_n < 0.29  # whatever the aspect, these fit
    assert not unlikely(np.histogram(area_n[small], 15, (0.02, 0.29))[0], small.sum() / 15)
    log_n = np.log(aspect_n[small]) / np.log(1 / 0.3)
    assert not unlikely(np.histogram(log_n, 15, (-1, 1))[0], small.sum() / 15)


def test_noise_is_uniform_and_each_images_own():
    images = np.zeros((200, 32, 32, 3), np.uint8)
    plan = plan_of(random_erasing_prob=1.0, shape=images.shape)
    erased, _ = apply_plan(images, np.eye(200), plan)
    inside = ops.inside(array(plan, "hole_n4"), 32, 32)
    assert not erased[~inside].any()
    values = erased[inside]
    assert not unlikely(np.bincount(values.ravel(), minlength=256), values.size / 256)
    assert abs(np.corrcoef(values.astype(float).T)[0, 1]) < 5 / np.sqrt(len(values))  # channels apart
    assert len({*array(plan, "start_n").tolist()}) > 190
    other, _ = apply_plan(
        images,
        np.eye(200),
        changed(plan_of(random_erasing_prob=1.0, shape=images.shape, epoch=1), hole_n4=array(plan, "hole_n4")),
    )
    assert not np.array_equal(other, erased)


def test_cutmix_is_the_papers():
    """Alpha 1: areas are uniform before they are cut off at the border."""
    boxes_n4 = array(plan_of(cutmix_alpha=1.0, shape=(COUNT, 500, 500, 3)), "cutmix_box_n4")
    top_n, left_n, rows_n, columns_n = boxes_n4.T
    assert (boxes_n4 >= 0).all() and (top_n + rows_n <= 500).all() and (left_n + columns_n <= 500).all()
    free = (top_n > 0) & (left_n > 0) & (top_n + rows_n < 500) & (left_n + columns_n < 500)
    np.testing.assert_array_equal(rows_n[free], columns_n[free])
    # A box of area s^2 is whole with probability (1 - s)^2: over uniform areas 1/6, and the mean area is then 1/5.
    assert near(free & (rows_n > 0), 1 / 6)
    # The middles are uniform, where a small box cannot but be whole.
    small = (rows_n > 0) & (rows_n < 100) & (columns_n < 100) & (top_n > 0) & (left_n > 0)
    for middle_n in (top_n + rows_n / 2, left_n + columns_n / 2):
        inside = small & (middle_n > 50) & (middle_n < 450)
        assert not unlikely(np.histogram(middle_n[inside], 16, (50, 450))[0], inside.sum() / 16)
    area_m = rows_n[free] * columns_n[free] / 25e4
    assert abs(area_m.mean() - 1 / 5) < 5 * area_m.std() / np.sqrt(len(area_m))
