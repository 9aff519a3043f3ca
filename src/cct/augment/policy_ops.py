"""The operations of AutoAugment and RandAugment. They give the same bytes as Pillow, for any number of channels."""

from collections.abc import Callable

import numpy as np

FILL = 128  # fills the gap behind a moved image, in all channels; AutoAugment's code fills with the mean colour


def grey(images_nhwc: np.ndarray) -> np.ndarray:
    """Brightness (n, h, w): Pillow's (ITU-R 601-2) for three channels, otherwise the rounded mean of the channels."""
    if (channels := images_nhwc.shape[-1]) != 3:
        return ((2 * images_nhwc.sum(axis=-1, dtype=np.int32) + channels) // (2 * channels)).astype(np.uint8)
    red, green, blue = np.moveaxis(images_nhwc.astype(np.int32), -1, 0)
    return ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16).astype(np.uint8)


def affine(images_nhwc: np.ndarray, matrix_n6: np.ndarray) -> np.ndarray:
    """Set each pixel (x, y) to the nearest of (a x + b y + c, d x + e y + f). Outside the image it becomes grey.

    The arithmetic is 16-bit fixed point, as in Pillow's `transform(size, AFFINE, (a, b, c, d, e, f), NEAREST)`.
    """
    n, height, width, channels = images_nhwc.shape
    a, b, c, d, e, f = matrix_n6.T
    corner = [a, b, c + a / 2 + b / 2, d, e, f + d / 2 + e / 2]
    a, b, c, d, e, f = np.floor(np.array(corner) * 65536 + 0.5).astype(np.int64)[:, :, None]
    x, y = np.arange(width), np.arange(height)
    column_nhw = ((b * y + c)[:, :, None] + (a * x)[:, None]) >> 16
    row_nhw = ((e * y + f)[:, :, None] + (d * x)[:, None]) >> 16
    # Negative numbers become large unsigned numbers.
    outside_nhw = (column_nhw.view(np.uint64) >= width) | (row_nhw.view(np.uint64) >= height)
    place_nhw = (np.arange(n)[:, None, None] * height + row_nhw) * width + column_nhw
    place_nhw[outside_nhw] = 0
    out = images_nhwc.reshape(-1, channels).take(place_nhw, axis=0)
    out[outside_nhw] = FILL
    return out


def look_up(images_nhwc: np.ndarray, table_nck: np.ndarray) -> np.ndarray:
    """Replace each value by its entry in the table of its image and channel. The tables are (n, c, 256)."""
    n, height, width, channels = images_nhwc.shape
    start_nc = np.arange(n * channels).reshape(n, 1, channels) * 256
    place = images_nhwc.reshape(n, height, -1) + np.tile(start_nc, (1, 1, width))
    return table_nck.ravel().take(place).reshape(images_nhwc.shape)


def blend(first: np.ndarray, second: np.ndarray, share_n: np.ndarray) -> np.ndarray:
    """`first + share * (second - first)` in float32, clipped to 0..255 and truncated, as in Pillow.

    Args:
        first: (n, ...), values from 0 to 255.
        second: values that broadcast with `first`.
        share_n: share of `second`. Below 0 and above 1 it extrapolates.
    """
    share = share_n.astype(np.float32).reshape(-1, *[1] * (first.ndim - 1))
    first, second = first.astype(np.float32), second.astype(np.float32)
    return np.clip(first + share * (second - first), 0, 255).astype(np.uint8)


VALUES = np.arange(256)


def _invert(images_nhwc: np.ndarray, _: np.ndarray) -> np.ndarray:
    return np.broadcast_to(255 - VALUES, (len(images_nhwc), 1, 256))


def _posterize(images_nhwc: np.ndarray, bits_n: np.ndarray) -> np.ndarray:
    return VALUES & (-1 << (8 - bits_n.astype(np.int64)))[:, None, None]  # 0 bits: black


def _solarize(images_nhwc: np.ndarray, threshold_n: np.ndarray) -> np.ndarray:
    return np.where(threshold_n[:, None, None] > VALUES, VALUES, 255 - VALUES)


def _solarize_add(images_nhwc: np.ndarray, added_n: np.ndarray) -> np.ndarray:
    return np.where(VALUES < 128, np.minimum(VALUES + added_n[:, None, None], 255), VALUES)


def _brightness(images_nhwc: np.ndarray, factor_n: np.ndarray) -> np.ndarray:
    return blend(np.zeros((1, 1, 1)), VALUES, factor_n)


def _contrast(images_nhwc: np.ndarray, factor_n: np.ndarray) -> np.ndarray:
    pixels = images_nhwc.shape[1] * images_nhwc.shape[2]
    sum_n11 = grey(images_nhwc).sum(axis=(1, 2), dtype=np.int64)[:, None, None]
    return blend((2 * sum_n11 + pixels) // (2 * pixels), VALUES, factor_n)


def _auto_contrast(images_nhwc: np.ndarray, _: np.ndarray) -> np.ndarray:
    pixels_npc = images_nhwc.reshape(len(images_nhwc), -1, images_nhwc.shape[-1])
    low_nc1, high_nc1 = (limit(axis=1)[..., None].astype(np.int64) for limit in (pixels_npc.min, pixels_npc.max))
    scale_nc1 = 255 / np.maximum(high_nc1 - low_nc1, 1)
    stretched_nck = np.clip(VALUES * scale_nc1 - low_nc1 * scale_nc1, 0, 255).astype(np.int64)
    return np.where(high_nc1 > low_nc1, stretched_nck, VALUES)


def _equalize(images_nhwc: np.ndarray, _: np.ndarray) -> np.ndarray:
    n, height, width, channels = images_nhwc.shape
    start_nc = np.arange(n * channels).reshape(n, 1, channels) * 256
    place = images_nhwc.reshape(n, -1, channels) + start_nc
    count_nck = np.bincount(place.ravel(), minlength=n * channels * 256).reshape(n, channels, 256)
    highest_nc1 = images_nhwc.max(axis=(1, 2))[..., None].astype(np.int64)
    step_nc1 = (height * width - np.take_along_axis(count_nck, highest_nc1, axis=2)) // 255
    before_nck = count_nck.cumsum(axis=2) - count_nck
    spread_nck = np.minimum((before_nck + step_nc1 // 2) // np.maximum(step_nc1, 1), 255)
    return np.where(step_nc1 > 0, spread_nck, VALUES)


def _smooth(images_nhwc: np.ndarray) -> np.ndarray:
    """The mean of 3x3 pixels, with the middle pixel counted five times. The border does not change."""
    wide, out = images_nhwc.astype(np.uint16), images_nhwc.copy()
    three = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    nine = three[:, :, :-2] + three[:, :, 1:-1] + three[:, :, 2:]
    out[:, 1:-1, 1:-1] = (2 * (nine + 4 * wide[:, 1:-1, 1:-1]) + 13) // 26
    return out


def _one_entry(place: int, argument_n: np.ndarray) -> np.ndarray:
    """Identity matrices (n, 6) with one entry replaced."""
    matrix_n6 = np.tile([1.0, 0, 0, 0, 1, 0], (len(argument_n), 1))
    matrix_n6[:, place] = argument_n
    return matrix_n6


def _shear_x(slope_n: np.ndarray, height: int, width: int) -> np.ndarray:
    return _one_entry(1, slope_n)


def _shear_y(slope_n: np.ndarray, height: int, width: int) -> np.ndarray:
    return _one_entry(3, slope_n)


def _translate_x(share_n: np.ndarray, height: int, width: int) -> np.ndarray:
    return _one_entry(2, np.floor(share_n * width + 0.5))  # Pillow moves by whole pixels, without fixed point


def _translate_y(share_n: np.ndarray, height: int, width: int) -> np.ndarray:
    return _one_entry(5, np.floor(share_n * height + 0.5))


def _rotate(degrees_n: np.ndarray, height: int, width: int) -> np.ndarray:
    """Rotate around the centre, counterclockwise, as Pillow's `rotate(degrees)`."""
    radians_n, x, y = -np.radians(degrees_n), width / 2, height / 2
    cosine_n, sine_n = np.round(np.cos(radians_n), 15), np.round(np.sin(radians_n), 15)
    c_n, f_n = x - cosine_n * x - sine_n * y, y + sine_n * x - cosine_n * y
    return np.stack([cosine_n, sine_n, c_n, -sine_n, cosine_n, f_n], axis=1)


# Matrices and tables take one pass over all their images. Each blend takes its own pass.
MATRICES: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "ShearX": _shear_x,
    "ShearY": _shear_y,
    "TranslateX": _translate_x,
    "TranslateY": _translate_y,
    "Rotate": _rotate,
}
TABLES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "Invert": _invert,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "SolarizeAdd": _solarize_add,
    "Brightness": _brightness,
    "Contrast": _contrast,
    "AutoContrast": _auto_contrast,
    "Equalize": _equalize,
}
BLENDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Color": lambda images_nhwc: grey(images_nhwc)[..., None],
    "Sharpness": _smooth,
}
# To add an operation, write its function and an entry in one of the three tables. Then name it in a policy's table in
# `cct.augment.policies`. The random numbers of other policies do not change.
OPERATIONS = (*MATRICES, *TABLES, *BLENDS)


def apply_ops(images_nhwc: np.ndarray, operation_n: np.ndarray, argument_n: np.ndarray) -> np.ndarray:
    """Apply one operation to each image.

    Args:
        images_nhwc: images.
        operation_n: places in `OPERATIONS`, or -1 for none.
        argument_n: its meaning depends on the operation. ShearX, ShearY: slope. TranslateX, TranslateY: share of the
            side. Rotate: degrees, counterclockwise. Posterize: bits to keep. Solarize: lowest value to invert.
            SolarizeAdd: value added to values below 128. Brightness, Contrast, Color, Sharpness: Pillow's factor (1
            changes nothing). Other operations ignore it.
    """
    _, height, width, channels = images_nhwc.shape
    out = images_nhwc.copy()
    members = {name: np.flatnonzero(operation_n == place) for place, name in enumerate(OPERATIONS)}
    members = {name: chosen for name, chosen in members.items() if len(chosen)}
    if moved := [name for name in members if name in MATRICES]:
        chosen = np.concatenate([members[name] for name in moved])
        matrices = [MATRICES[name](argument_n[members[name]], height, width) for name in moved]
        out[chosen] = affine(images_nhwc[chosen], np.concatenate(matrices))
    if recoloured := [name for name in members if name in TABLES]:
        chosen = np.concatenate([members[name] for name in recoloured])
        table_mck, start = np.empty((len(chosen), channels, 256), np.uint8), 0
        for name in recoloured:
            part = members[name]
            table_mck[start : start + len(part)] = TABLES[name](images_nhwc[part], argument_n[part])
            start += len(part)
        out[chosen] = look_up(images_nhwc[chosen], table_mck)
    for name in [name for name in members if name in BLENDS]:
        chosen = members[name]
        out[chosen] = blend(BLENDS[name](images_nhwc[chosen]), images_nhwc[chosen], argument_n[chosen])
    return out
