"""Pixel operations of augmentation: functions from uint8 images (n, h, w, c) to new ones, with arguments per image."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

PADDING_MODES = ("constant", "reflect")  # names of torchvision's RandomCrop and of numpy's pad
WHOLE = 256  # MixUp's weights are in 1/256, so that pixels and targets mix alike


def crop(images_nhwc: np.ndarray, row_n: np.ndarray, column_n: np.ndarray, *, mode: str = "constant") -> np.ndarray:
    """Crop each image to its own size, from a row and a column, which may be negative.

    Pixels outside are black, or with the mode "reflect" those of the image mirrored at its edge.
    """
    n, height, width, channels = images_nhwc.shape
    margin = max(np.abs(row_n).max(initial=0), np.abs(column_n).max(initial=0))
    padded = np.pad(images_nhwc, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode)
    # Rows of bytes: copying a window of them is one block for each row.
    parts = sliding_window_view(padded.reshape(*padded.shape[:2], -1), (height, width * channels), axis=(1, 2))
    return parts[np.arange(n), row_n + margin, (column_n + margin) * channels].reshape(images_nhwc.shape)


def resized_crop(images_nhwc: np.ndarray, box_n4: np.ndarray) -> np.ndarray:
    """Enlarge a box of each image (top, left, height, width, in whole pixels) to the image's size, bilinearly.

    The bytes equal Pillow's `resize(size, BILINEAR, box=...)`: at the border of the box, pixels just outside it count.
    """
    n, height, width, channels = images_nhwc.shape
    top_n, left_n, rows_n, columns_n = box_n4.T
    first_nw, second_nw, share_nw = _neighbours(left_n, columns_n, width)
    pixels = images_nhwc.reshape(-1, channels)
    line_nh1 = (np.arange(n * height) * width).reshape(n, height, 1)
    across = _between(
        pixels.take(line_nh1 + first_nw[:, None], axis=0),
        pixels.take(line_nh1 + second_nw[:, None], axis=0),
        share_nw[:, None, :, None],
    )
    first_nh, second_nh, share_nh = _neighbours(top_n, rows_n, height)
    each = np.arange(n)[:, None]
    return _between(across[each, first_nh], across[each, second_nh], share_nh[:, :, None, None])


BITS = 22  # fixed-point bits of Pillow's weights


def _neighbours(start_n: np.ndarray, length_n: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two pixels around each of `size` places along a part, and the share of the second pixel in 1/2^BITS."""
    centre_ns = start_n[:, None] + (np.arange(size) + 0.5) * (length_n[:, None] / size) - 0.5
    first_ns = np.floor(centre_ns).astype(np.int64)
    share_ns = np.floor((centre_ns - first_ns) * 2**BITS + 0.5).astype(np.int32)
    return np.maximum(first_ns, 0), np.minimum(first_ns + 1, size - 1), share_ns


def _between(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    mixed = first.astype(np.int32) * (2**BITS - share)
    mixed += second * share
    mixed += 2 ** (BITS - 1)
    mixed >>= BITS
    return mixed.astype(np.uint8)


def flip(images_nhwc: np.ndarray, flip_n: np.ndarray) -> np.ndarray:
    """Flip the chosen images left to right."""
    n, height, width, channels = images_nhwc.shape
    out = images_nhwc.copy()
    lines = images_nhwc.reshape(n, height, -1)
    mirrored = np.arange(width * channels).reshape(width, channels)[::-1].ravel()
    out.reshape(lines.shape)[flip_n] = lines[flip_n].take(mirrored, axis=2)
    return out


def inside(box_n4: np.ndarray, height: int, width: int) -> np.ndarray:
    """Mask (n, h, w), bool: the pixels of images of (height, width) in their boxes (top, left, height, width)."""
    top_n, left_n, rows_n, columns_n = box_n4.T[:, :, None]
    row_nh, column_nw = np.arange(height) - top_n, np.arange(width) - left_n
    return ((row_nh >= 0) & (row_nh < rows_n))[:, :, None] & ((column_nw >= 0) & (column_nw < columns_n))[:, None]


def erase(images_nhwc: np.ndarray, box_n4: np.ndarray, *, noise: np.ndarray, start_n: np.ndarray) -> np.ndarray:
    """Put noise into a box of each image. A box of height 0 changes nothing.

    Args:
        images_nhwc: images.
        box_n4: top, left, height, width.
        noise: bytes (m,). Each image uses height * width * channels of them, from its own start.
        start_n: place in `noise` where each image starts.
    """
    _, height, width, channels = images_nhwc.shape
    out, chosen = images_nhwc.copy(), np.flatnonzero(box_n4[:, 2])
    noise_mhwc = sliding_window_view(noise, height * width * channels)[start_n[chosen]].reshape(out[chosen].shape)
    out[chosen] = np.where(inside(box_n4[chosen], height, width)[..., None], noise_mhwc, out[chosen])
    return out


def mix(
    images_nhwc: np.ndarray, targets_nk: np.ndarray, *, weight_n: np.ndarray | None, box_n4: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Mix each image by MixUp (arXiv:1710.09412) or CutMix (arXiv:1905.04899) with its partner.

    The partner is the image at the mirrored place of the batch.

    Args:
        images_nhwc: images.
        targets_nk: float32, one-hot labels or shares of labels.
        weight_n: MixUp's weight of the image itself, in 1/`WHOLE`. None: no MixUp.
        box_n4: CutMix's box (top, left, height, width), which an image takes from its partner. None: no CutMix.

    Returns:
        Images and targets.
    """
    n, height, width, _ = images_nhwc.shape
    others_nhwc, kept_n, out = images_nhwc[::-1], np.ones(n), images_nhwc.copy()
    if weight_n is not None:
        chosen = np.flatnonzero(weight_n < WHOLE)
        weight = weight_n[chosen, None, None, None].astype(np.uint16)  # sums stay below 2^16
        out[chosen] = (images_nhwc[chosen] * weight + others_nhwc[chosen] * (WHOLE - weight) + 128) >> 8
        kept_n = weight_n / WHOLE
    if box_n4 is not None:
        chosen = np.flatnonzero(box_n4[:, 2])
        taken_mhw1 = inside(box_n4[chosen], height, width)[..., None]
        out[chosen] = np.where(taken_mhw1, others_nhwc[chosen], out[chosen])
        kept_n = kept_n - box_n4[:, 2] * box_n4[:, 3] / (height * width)
    kept_n1 = kept_n[:, None].astype(np.float32)
    return out, kept_n1 * targets_nk + (1 - kept_n1) * targets_nk[::-1]
