"""Random changes of training images, each a function of (seed, epoch, image) and of nothing else.

What happens to each image is sampled here for a whole epoch at once. Only the partner of a mixed image depends on its
batch. All of it is NumPy on the host, so it is the same on every backend.
"""

import functools
from typing import NamedTuple

import numpy as np

from cct.augment import ops, policy_ops
from cct.augment.params import AugmentParams
from cct.augment.policies import SUBPOLICIES, sample_autoaugment, sample_randaugment
from cct.augment.streams import (
    BOX,
    BOX_PLACE,
    CROP,
    CUT,
    CUTMIX,
    CUTMIX_PLACE,
    ERASED,
    FLIP,
    HOLE,
    HOLE_PLACE,
    MIXED,
    MIXUP,
    NOISE,
    NOISE_START,
    Streams,
    random_stream,
)

TRIES = 10  # at a rectangle that fits into the image, as torchvision and timm do it
ASPECTS = (3 / 4, 4 / 3)  # width / height of a resized crop, as torchvision's RandomResizedCrop
# Of random erasing (arXiv:1708.04896) as timm has it: the paper's areas go up to 0.4, its aspects are not logarithmic.
HOLE_AREAS, HOLE_ASPECTS = (0.02, 1 / 3), (0.3, 1 / 0.3)
NOISE_BYTES = 2**20  # from which erased rectangles begin at different places


class AugmentPlan(NamedTuple):
    """What happens to each of n images in one epoch; None is what happens to none of them."""

    shift_n2: np.ndarray | None = None  # row and column at which the crop begins, -padding..padding
    box_n4: np.ndarray | None = None  # top, left, height, width of a crop that is resized
    flip_n: np.ndarray | None = None  # bool
    operation_nl: np.ndarray | None = None  # places in OPERATIONS, one for each layer, or -1
    argument_nl: np.ndarray | None = None
    hole_n4: np.ndarray | None = None  # erased, or a height of 0
    start_n: np.ndarray | None = None  # in the noise, of what fills the hole
    noise: np.ndarray | None = None  # bytes, the same for all
    own_n: np.ndarray | None = None  # MixUp: what a image keeps of itself, in 1/256
    patch_n4: np.ndarray | None = None  # CutMix: what it takes from another, or a height of 0

    def take(self, chosen: np.ndarray) -> "AugmentPlan":
        """Those of the chosen images."""
        each = {name: drawn[chosen] for name, drawn in self._asdict().items() if drawn is not None and name != "noise"}
        return self._replace(**each)


def sample_plan(augment: AugmentParams, *, seed: int, epoch: int, shape: tuple[int, ...]) -> AugmentPlan:
    """Draw for images of shape (n, h, w, c) at once; entry i belongs to image i whatever its place in the epoch."""
    count, height, width, channels = shape
    size = {"count": count, "height": height, "width": width}
    streams = functools.partial(random_stream, seed, epoch)
    drawn = {}
    if augment.crop_padding:
        places_2n = streams(CROP).integers(0, 2 * augment.crop_padding + 1, (2, count))
        drawn["shift_n2"] = places_2n.T - augment.crop_padding
    if augment.resized_crop is not None:
        drawn["box_n4"] = _crop_boxes(augment.resized_crop, streams, **size)
    if augment.horizontal_flip:
        drawn["flip_n"] = streams(FLIP).random(count) < 0.5
    if augment.policy == "randaugment":
        drawn["operation_nl"], drawn["argument_nl"] = sample_randaugment(augment, streams, count)
    elif augment.policy != "none":
        drawn["operation_nl"], drawn["argument_nl"] = sample_autoaugment(SUBPOLICIES[augment.policy], streams, count)
    if augment.random_erasing_prob:
        holes_n4 = _rectangles(HOLE_AREAS, HOLE_ASPECTS, streams(HOLE), streams(HOLE_PLACE), **size)
        drawn["hole_n4"] = holes_n4 * (streams(ERASED).random((count, 1)) < augment.random_erasing_prob)
        drawn["start_n"] = streams(NOISE_START).integers(0, NOISE_BYTES, count)
        drawn["noise"] = streams(NOISE).integers(0, 256, NOISE_BYTES + height * width * channels, np.uint8)
    if (augment.mixup_alpha or augment.cutmix_alpha) and (augment.mix_epochs is None or epoch < augment.mix_epochs):
        drawn |= _mixing(augment, streams, **size)
    return AugmentPlan(**drawn)


def apply_plan(images_nhwc: np.ndarray, targets_nk: np.ndarray, draws: AugmentPlan) -> tuple[np.ndarray, np.ndarray]:
    """What was drawn for each image of a batch, in this order: crop, flip, policy, erasing, MixUp or CutMix.

    Args:
        images_nhwc: uint8.
        targets_nk: float32, one-hot.
        draws: theirs.

    Returns:
        Images of the same shape, the given ones where nothing was drawn, and targets, soft where images are mixed.
    """
    images = np.ascontiguousarray(images_nhwc)  # of a memory-mapped one, a plain array
    if draws.shift_n2 is not None:
        images = ops.crop(images, *draws.shift_n2.T)
    if draws.box_n4 is not None:
        images = ops.resized_crop(images, draws.box_n4)
    if draws.flip_n is not None:
        images = ops.flip(images, draws.flip_n)
    if draws.operation_nl is not None:
        for operation_n, argument_n in zip(draws.operation_nl.T, draws.argument_nl.T, strict=True):
            images = policy_ops.apply_ops(images, operation_n, argument_n)
    if draws.hole_n4 is not None:
        images = ops.erase(images, draws.hole_n4, noise=draws.noise, start_n=draws.start_n)
    if draws.own_n is None and draws.patch_n4 is None:
        return images, targets_nk
    return ops.mix(images, targets_nk, own_n=draws.own_n, box_n4=draws.patch_n4)


def _rectangles(
    areas: tuple[float, float],
    aspects: tuple[float, float],
    sizes: np.random.Generator,
    places: np.random.Generator,
    *,
    count: int,
    height: int,
    width: int,
) -> np.ndarray:
    """Top, left, height and width (n, 4) of rectangles within the image, at uniform places.

    Areas are uniform, as shares of the image's, and aspects log-uniform. What does not fit is drawn again, and
    has a height and width of 0 if it never fits in `TRIES` draws.
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


def _crop_boxes(smallest: float, streams: Streams, *, count: int, height: int, width: int) -> np.ndarray:
    """As torchvision's RandomResizedCrop: where nothing fits, the largest part in the middle of an aspect in range."""
    size = {"count": count, "height": height, "width": width}
    box_n4 = _rectangles((smallest, 1.0), ASPECTS, streams(BOX), streams(BOX_PLACE), **size)
    rows, columns = min(height, round(width / ASPECTS[0])), min(width, round(height * ASPECTS[1]))
    middle = [(height - rows) // 2, (width - columns) // 2, rows, columns]
    return np.where(box_n4[:, 2:3] > 0, box_n4, middle)


def _mixing(augment: AugmentParams, streams: Streams, *, count: int, height: int, width: int) -> dict[str, np.ndarray]:
    """MixUp's shares and CutMix's boxes, as far as either is on; of one image it is one of the two or neither."""
    mixed_n = streams(MIXED).random(count) < augment.mix_prob
    share = augment.mix_switch_prob if augment.mixup_alpha and augment.cutmix_alpha else float(augment.cutmix_alpha > 0)
    cut_n = streams(CUT).random(count) < share
    drawn = {}
    if augment.mixup_alpha:
        own_n = np.rint(256 * streams(MIXUP).beta(augment.mixup_alpha, augment.mixup_alpha, count)).astype(np.int64)
        drawn["own_n"] = np.where(mixed_n & ~cut_n, own_n, 256)
    if augment.cutmix_alpha:
        # A box of the drawn share, its middle anywhere, cut off where the image ends, as in the paper's code.
        side_n1 = np.sqrt(1 - streams(CUTMIX).beta(augment.cutmix_alpha, augment.cutmix_alpha, (count, 1)))
        half_n2 = (side_n1 * [height, width]).astype(np.int64) // 2
        middle_n2 = streams(CUTMIX_PLACE).integers(0, [height, width], (count, 2))
        start_n2, end_n2 = np.maximum(middle_n2 - half_n2, 0), np.minimum(middle_n2 + half_n2, [height, width])
        drawn["patch_n4"] = np.concatenate([start_n2, end_n2 - start_n2], axis=1) * (mixed_n & cut_n)[:, None]
    return drawn
