"""The operations equal Pillow's, byte for byte, on photographs and digits. Others follow first principles."""

import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_digits, load_sample_image

from cct.augment import ops, policy_ops

HEIGHT, WIDTH = 24, 32  # not square, so that rows and columns cannot be confused


def patches(name: str, size: int = 8) -> np.ndarray:
    """Images cut out of a photograph of scikit-learn's, and hard cases: flat, of two values, of noise."""
    photo = load_sample_image(name)[::size, ::size][: 2 * HEIGHT, : 2 * WIDTH]
    cut = photo.reshape(2, HEIGHT, 2, WIDTH, 3).swapaxes(1, 2).reshape(-1, HEIGHT, WIDTH, 3)
    whole = load_sample_image(name)[100 : 100 + HEIGHT, 200 : 200 + WIDTH][None]
    flat = np.full_like(whole, 77)
    two = np.where(whole > 99, 200, 30).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, whole.shape, dtype=np.uint8)
    return np.concatenate([cut, whole, flat, two, noise, noise // 4 + 100])


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    return np.concatenate([patches("china.jpg"), patches("flower.jpg", size=6)])


@pytest.fixture(scope="module")
def greys(photos) -> np.ndarray:
    return policy_ops.grey(photos)[..., None]


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return np.rint(load_digits().images[:30] * (255 / 16)).astype(np.uint8)[..., None]


@pytest.fixture(params=["photos", "greys", "digits"])
def images(request) -> np.ndarray:
    return request.getfixturevalue(request.param)


def as_pillow(image_hwc: np.ndarray) -> Image.Image:
    return Image.fromarray(image_hwc[..., 0] if image_hwc.shape[-1] == 1 else image_hwc)


def pillow(name: str, image: Image.Image, argument: float) -> Image.Image:
    """Pillow's own way of each operation."""

    def moved(*matrix: float) -> Image.Image:
        return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=grey)

    grey = 128 if image.mode == "L" else (128, 128, 128)
    width, height = image.size
    return {
        "ShearX": lambda: moved(1, argument, 0, 0, 1, 0),
        "ShearY": lambda: moved(1, 0, 0, argument, 1, 0),
        "TranslateX": lambda: moved(1, 0, argument * width, 0, 1, 0),
        "TranslateY": lambda: moved(1, 0, 0, 0, 1, argument * height),
        "Rotate": lambda: image.rotate(argument, Image.Resampling.NEAREST, fillcolor=grey),
        "Invert": lambda: ImageOps.invert(image),
        # Pillow 13 refuses to keep no bits; those before it gave black, which is what timm's strongest does.
        "Posterize": lambda: ImageOps.posterize(image, int(argument)) if argument else image.point(lambda _: 0),
        "Solarize": lambda: ImageOps.solarize(image, int(argument)),
        "SolarizeAdd": lambda: image.point(lambda value: min(value + int(argument), 255) if value < 128 else value),
        "Brightness": lambda: ImageEnhance.Brightness(image).enhance(argument),
        "Contrast": lambda: ImageEnhance.Contrast(image).enhance(argument),
        "AutoContrast": lambda: ImageOps.autocontrast(image),
        "Equalize": lambda: ImageOps.equalize(image),
        "Color": lambda: ImageEnhance.Color(image).enhance(argument),
        "Sharpness": lambda: ImageEnhance.Sharpness(image).enhance(argument),
    }[name]()


FACTORS = [0.1, 0.19, 0.3, 0.5, 0.64, 0.82, 1.0, 1.18, 1.37, 1.5, 1.72, 1.9]
SLOPES = [-0.3, -0.27, -0.123, -0.01, 0.0, 0.01, 0.05, 0.15, 0.24, 0.27, 0.2857, 0.3]
SHARES = [-0.45, -0.405, -0.21, -1 / 32, -0.001, 0.0, 0.013, 1 / 32, 2.5 / 32, 9 / 32, 0.3, 0.45]
ARGUMENTS = {
    "ShearX": SLOPES,
    "ShearY": SLOPES,
    "TranslateX": SHARES,
    "TranslateY": SHARES,
    "Rotate": [-30, -27, -13.37, -9, -0.1, 0, 0.5, 6, 12, 26.9, 27, 30],
    "Posterize": [0, 1, 2, 3, 4, 5, 6, 7, 8],
    "Solarize": [0, 1, 26, 77, 78, 128, 129, 200, 230, 255, 256],
    "SolarizeAdd": [0, 1, 11, 50, 98, 99, 109, 110],
    "Brightness": FACTORS,
    "Contrast": FACTORS,
    "Color": FACTORS,
    "Sharpness": FACTORS,
}


@pytest.mark.parametrize("name", policy_ops.OPERATIONS)
def test_an_operation_is_pillows(name, images):
    arguments = ARGUMENTS.get(name, [0.0])
    repeated = np.repeat(images, len(arguments), axis=0)
    argument_n = np.tile(np.array(arguments, float), len(images))
    before = repeated.copy()
    result = policy_ops.apply_ops(repeated, np.full(len(repeated), policy_ops.OPERATIONS.index(name)), argument_n)
    assert (result.dtype, result.shape, result.flags.c_contiguous) == (np.uint8, repeated.shape, True)
    np.testing.assert_array_equal(repeated, before)
    expected = [np.asarray(pillow(name, as_pillow(x), a)) for x, a in zip(repeated, argument_n, strict=True)]
    np.testing.assert_array_equal(result, np.stack(expected).reshape(result.shape))


def test_every_operation_has_its_kind():
    assert (
        len(policy_ops.OPERATIONS)
        == len({*policy_ops.OPERATIONS})
        == len(policy_ops.MATRICES) + len(policy_ops.TABLES) + len(policy_ops.BLENDS)
        == 15
    )
    assert ARGUMENTS.keys() | {"Invert", "AutoContrast", "Equalize"} == {*policy_ops.OPERATIONS}


def test_each_image_has_its_own_operation(photos):
    """All kinds in one batch, and images left alone among them: as each by itself."""
    rng = np.random.default_rng(1)
    images = photos[rng.integers(len(photos), size=200)]
    operation_n = rng.integers(-1, len(policy_ops.OPERATIONS), 200)
    argument_n = np.array([rng.choice(ARGUMENTS.get(policy_ops.OPERATIONS[code], [0.0])) for code in operation_n])
    assert {*operation_n} == {*range(-1, len(policy_ops.OPERATIONS))}
    result = policy_ops.apply_ops(images, operation_n, argument_n)
    for i in range(200):
        alone = policy_ops.apply_ops(images[i : i + 1], operation_n[i : i + 1], argument_n[i : i + 1])
        np.testing.assert_array_equal(result[i], alone[0])
    np.testing.assert_array_equal(result[operation_n < 0], images[operation_n < 0])


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_other_numbers_of_channels(channels):
    """Where channels do not meet, each is as a grey image; Color and Contrast go by the mean of all."""
    images = np.random.default_rng(2).integers(0, 256, (6, 9, 7, channels), dtype=np.uint8)
    for place, name in enumerate(policy_ops.OPERATIONS):
        argument_n, operation_n = np.resize(ARGUMENTS.get(name, [0.0])[1:], 6), np.full(6, place)
        result = policy_ops.apply_ops(images, operation_n, argument_n)
        if name not in ("Color", "Contrast"):
            for c in range(channels):
                alone = policy_ops.apply_ops(images[..., c : c + 1], operation_n, argument_n)
                np.testing.assert_array_equal(result[..., c : c + 1], alone)
    mean_nhw1 = np.floor(images.mean(axis=-1, keepdims=True) + 0.5)
    np.testing.assert_array_equal(policy_ops.grey(images)[..., None], mean_nhw1)
    without = policy_ops.apply_ops(images, np.full(6, policy_ops.OPERATIONS.index("Color")), np.zeros(6))
    np.testing.assert_array_equal(without, np.broadcast_to(mean_nhw1, images.shape))
    if channels == 1:
        for factor in FACTORS:
            colored = policy_ops.apply_ops(images, np.full(6, policy_ops.OPERATIONS.index("Color")), np.full(6, factor))
            np.testing.assert_array_equal(colored, images)


@pytest.mark.parametrize("size", [1, 2])
def test_the_smallest_images(size):
    count = len(policy_ops.OPERATIONS)
    images = np.random.default_rng(3).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    operation_n = np.arange(count)
    argument_n = np.array(
        [ARGUMENTS.get(name, [0.0])[1 if name in ARGUMENTS else 0] for name in policy_ops.OPERATIONS], float
    )
    result = policy_ops.apply_ops(images, operation_n, argument_n)
    for image, name, argument, changed in zip(images, policy_ops.OPERATIONS, argument_n, result, strict=True):
        np.testing.assert_array_equal(changed, np.asarray(pillow(name, as_pillow(image), argument)))


def test_grey_is_pillows(photos):
    expected = [np.asarray(as_pillow(image).convert("L")) for image in photos]
    np.testing.assert_array_equal(policy_ops.grey(photos), np.stack(expected))


def test_a_resized_crop_is_pillows(images):
    rng = np.random.default_rng(4)
    images = np.repeat(images, 10, axis=0)
    n, height, width, _ = images.shape
    rows_n, columns_n = rng.integers(1, height + 1, n), rng.integers(1, width + 1, n)
    box_n4 = np.stack(
        [rng.integers(height - rows_n + 1), rng.integers(width - columns_n + 1), rows_n, columns_n], axis=1
    )
    box_n4[0] = 0, 0, height, width
    box_n4[1] = height - 1, width - 1, 1, 1
    before = images.copy()
    result = ops.resized_crop(images, box_n4)
    assert (result.dtype, result.shape, result.flags.c_contiguous) == (np.uint8, images.shape, True)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(result[0], images[0])
    for image, (top, left, rows, columns), resized in zip(images, box_n4.tolist(), result, strict=True):
        box = (left, top, left + columns, top + rows)
        expected = as_pillow(image).resize((width, height), Image.Resampling.BILINEAR, box=box)
        np.testing.assert_array_equal(resized, np.asarray(expected).reshape(image.shape))


def test_erasing_is_within_its_box(photos):
    size = photos[0].size
    noise = np.random.default_rng(5).integers(0, 256, 1000 + size, dtype=np.uint8)
    start_n = np.arange(len(photos)) * 7
    box_n4 = np.tile([2, 3, 5, 8], (len(photos), 1))
    box_n4[0], box_n4[1], box_n4[2] = (0, 0, HEIGHT, WIDTH), 0, (HEIGHT - 1, WIDTH - 1, 1, 1)
    before = photos.copy()
    result = ops.erase(photos, box_n4, noise=noise, start_n=start_n)
    np.testing.assert_array_equal(photos, before)
    for i, (top, left, rows, columns) in enumerate(box_n4):
        expected, part = photos[i].copy(), (slice(top, top + rows), slice(left, left + columns))
        expected[part] = noise[start_n[i] :][:size].reshape(HEIGHT, WIDTH, 3)[part]
        np.testing.assert_array_equal(result[i], expected)


def test_mixup_mixes_pixels_as_targets(photos):
    n = len(photos)
    weight_n = np.resize([256, 0, 255, 1, 128, 77], n)
    targets_nk = np.eye(n, dtype=np.float32)
    before = photos.copy()
    images, targets = ops.mix(photos, targets_nk, weight_n=weight_n, box_n4=None)
    np.testing.assert_array_equal(photos, before)
    assert (images.dtype, images.flags.c_contiguous, targets.dtype) == (np.uint8, True, np.float32)
    exact = weight_n[:, None, None, None] / 256 * photos + (1 - weight_n[:, None, None, None] / 256) * photos[::-1]
    np.testing.assert_array_equal(images, np.floor(exact + 0.5))
    for i in range(n):
        expected = np.zeros(n, np.float32)
        expected[i] += weight_n[i] / 256
        expected[n - 1 - i] += 1 - weight_n[i] / 256
        np.testing.assert_array_equal(targets[i], expected)


def test_cutmix_counts_its_pixels(photos):
    """Black and white images: what is white in a black one is the share of the other's target."""
    n = len(photos)
    assert n % 2 == 0
    white = np.repeat(np.array([0, 255], np.uint8), n // 2)
    images = np.broadcast_to(white[:, None, None, None], photos.shape)
    box_n4 = np.tile([4, 5, 6, 7], (n, 1))
    corners = [(0, 0, 3, 4), (0, WIDTH - 4, 3, 4), (HEIGHT - 3, 0, 3, 4), (HEIGHT - 1, WIDTH - 1, 1, 1)]
    box_n4[:7] = [(0, 0, 0, 0), (0, 0, HEIGHT, WIDTH), (5, 5, 3, 0), *corners]
    mixed, targets = ops.mix(images, np.eye(2, dtype=np.float32)[white // 255], weight_n=None, box_n4=box_n4)
    np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)) / 255, targets[:, 1], rtol=0, atol=1e-7)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=0, atol=1e-7)
    assert targets[0].tolist() == targets[2].tolist() == [1, 0] and targets[1].tolist() == [0, 1]
    mixed, _ = ops.mix(photos, np.eye(n, dtype=np.float32), weight_n=None, box_n4=box_n4)
    for i, (top, left, rows, columns) in enumerate(box_n4):
        expected, part = photos[i].copy(), (slice(top, top + rows), slice(left, left + columns))
        expected[part] = photos[n - 1 - i][part]
        np.testing.assert_array_equal(mixed[i], expected)


def test_the_middle_of_an_odd_batch_stays_itself(photos):
    images, targets = photos[:5], np.eye(5, dtype=np.float32)
    mixed, soft = ops.mix(images, targets, weight_n=np.full(5, 100), box_n4=None)
    np.testing.assert_array_equal(mixed[2], images[2])
    assert soft[2].tolist() == targets[2].tolist() and math.isclose(soft[0, 0], 100 / 256)
