import numpy as np
import pytest

from cct.augment import CROP, ORDER, Draws, apply, draw, stream
from cct.recipe import AugmentParams

COUNT = 9000


def params(padding: int = 4, flip: bool = True) -> AugmentParams:
    return AugmentParams(crop_padding=padding, horizontal_flip=flip)


@pytest.fixture
def images() -> np.ndarray:
    """Not square, so that rows and columns cannot be confused; no black, so that the border is seen."""
    return np.random.default_rng(0).integers(1, 256, (50, 5, 7, 3), dtype=np.uint8)


def slowly(images: np.ndarray, draws: Draws, padding: int) -> np.ndarray:
    n, height, width, channels = images.shape
    out = np.zeros_like(images)
    for i in range(n):
        for y in range(height):
            for x in range(width):
                row = draws.row_n[i] + y - padding
                column = draws.column_n[i] + (width - 1 - x if draws.flip_n[i] else x) - padding
                if 0 <= row < height and 0 <= column < width:
                    for c in range(channels):
                        out[i, y, x, c] = images[i, row, column, c]
    return out


@pytest.mark.parametrize("padding", [0, 1, 4, 9])
@pytest.mark.parametrize("flip", [False, True])
def test_as_a_plain_loop_does(images, padding, flip):
    before = images.copy()
    draws = draw(params(padding, flip), seed=1, epoch=2, count=len(images))
    assert flip == draws.flip_n.any()
    result = apply(images, draws, padding=padding)
    assert (result.dtype, result.shape) == (np.uint8, images.shape)
    np.testing.assert_array_equal(result, slowly(images, draws, padding))
    np.testing.assert_array_equal(images, before)


def test_without_padding_and_flips_nothing_changes(images):
    draws = draw(params(0, False), seed=0, epoch=0, count=len(images))
    result = apply(images, draws, padding=0)
    np.testing.assert_array_equal(result, images)
    assert not np.shares_memory(result, images)


def test_a_flip_is_left_to_right():
    images = np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1)
    draws = Draws(np.array([0]), np.array([0]), np.array([True]))
    assert apply(images, draws, padding=0)[0, :, :, 0].tolist() == [[2, 1, 0], [5, 4, 3]]


def test_each_picture_has_its_own_crop(images):
    same = np.repeat(images[:1], 50, axis=0)
    result = apply(same, draw(params(flip=False), seed=0, epoch=0, count=50), padding=4)
    assert len({picture.tobytes() for picture in result}) > 25  # 50 draws of 81 places: 37 expected


def test_a_picture_does_not_see_its_batch(images):
    draws = draw(params(), seed=3, epoch=4, count=len(images))
    whole = apply(images, draws, padding=4)
    for chosen in (np.array([7]), np.array([49, 0, 13]), np.random.default_rng(0).permutation(50)):
        part = apply(images[chosen], Draws(*(drawn[chosen] for drawn in draws)), padding=4)
        np.testing.assert_array_equal(part, whole[chosen])


def test_draws_follow_seed_and_epoch_only():
    def drawn(seed: int, epoch: int) -> list:
        np.random.seed(seed + epoch)  # the global state must not matter
        return [array.tolist() for array in draw(params(), seed=seed, epoch=epoch, count=100)]

    assert drawn(1, 2) == drawn(1, 2)
    others = [drawn(1, 2), drawn(2, 1), drawn(1, 3), drawn(0, 2)]
    for column in range(3):  # rows, columns and flips each differ between any two
        assert len({tuple(other[column]) for other in others}) == 4


def test_streams_are_apart():
    assert stream(0, 0, ORDER).integers(2**62) != stream(0, 0, CROP).integers(2**62)


@pytest.mark.parametrize("padding", [1, 4])
def test_every_place_is_equally_likely(padding):
    """Chi-square of the fixed seed, below the mean of its distribution plus five deviations."""
    row_n, column_n, flip_n = draw(params(padding), seed=0, epoch=0, count=COUNT)
    places = 2 * padding + 1
    counts = np.bincount((row_n * places + column_n) * 2 + flip_n, minlength=2 * places**2)
    assert len(counts) == 2 * places**2
    freedom = len(counts) - 1
    expected = COUNT / len(counts)
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 5 * np.sqrt(2 * freedom)


def test_half_is_flipped_or_nothing():
    assert abs(draw(params(), seed=0, epoch=1, count=COUNT).flip_n.mean() - 0.5) < 5 * 0.5 / np.sqrt(COUNT)
    off = draw(params(flip=False), seed=0, epoch=1, count=COUNT)
    assert off.flip_n.dtype == bool and not off.flip_n.any()


def test_the_switch_of_flips_does_not_move_crops():
    on, off = (draw(params(flip=flip), seed=5, epoch=6, count=100) for flip in (True, False))
    np.testing.assert_array_equal(on.row_n, off.row_n)
    np.testing.assert_array_equal(on.column_n, off.column_n)
