"""Random rectangles within an image."""

import numpy as np

TRIES = 10  # as in torchvision and timm


def sample_rectangles(
    areas: tuple[float, float],
    aspects: tuple[float, float],
    sizes: np.random.Generator,
    places: np.random.Generator,
    *,
    count: int,
    height: int,
    width: int,
) -> np.ndarray:
    """Rectangles within the image, (n, 4): top, left, height, width.

    Args:
        areas: range of the areas, as shares of the image's area; uniform.
        aspects: range of width / height; log-uniform.
        sizes: random numbers for the sizes.
        places: random numbers for the places, which are uniform.
        count: n.
        height: height of the image.
        width: width of the image.

    Returns:
        A rectangle that does not fit is sampled again. After `TRIES` attempts its height and width are 0.
    """
    size_n2, left = np.zeros((count, 2), np.int64), np.arange(count)
    for _ in range(TRIES):
        area_m, aspect_m = sizes.random((2, count))[:, left]
        area_m = height * width * (areas[0] + (areas[1] - areas[0]) * area_m)
        aspect_m = np.exp(np.log(aspects[0]) + np.log(aspects[1] / aspects[0]) * aspect_m)
        size_m2 = np.rint(np.sqrt([area_m / aspect_m, area_m * aspect_m])).T
        fits_m = ((size_m2 > 0) & (size_m2 <= [height, width])).all(axis=1)
        size_n2[left[fits_m]] = size_m2[fits_m]
        left = left[~fits_m]
        if not len(left):
            break
    room_n2 = [height, width] - size_n2 + 1
    return np.concatenate([(places.random((count, 2)) * room_n2).astype(np.int64), size_n2], axis=1)
