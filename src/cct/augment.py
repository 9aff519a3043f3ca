"""Random changes of training pictures, each a function of (seed, epoch, picture) and of nothing else.

What happens to each picture is drawn here, for a whole epoch at once, and done by `cct.transforms`; only with whom a
picture is mixed depends on its batch. All of it is NumPy on the host, so it is the same on every backend.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cct import transforms
from cct.recipe import AugmentParams
from cct.transforms import OPERATIONS

# One stream of random numbers for each purpose, so that a new one does not change the others.
ORDER, CROP, FLIP, BOX, BOX_PLACE, OPERATION, APPLIED, MAGNITUDE, SIGN, SUBPOLICY = range(10)
ERASED, HOLE, HOLE_PLACE, NOISE, NOISE_START, MIXED, CUT, MIXUP, CUTMIX, CUTMIX_PLACE = range(10, 20)

TRIES = 10  # at a rectangle that fits into the picture, as torchvision and timm do it
ASPECTS = (3 / 4, 4 / 3)  # width / height of a resized crop, as torchvision's RandomResizedCrop
# Of random erasing (arXiv:1708.04896) as timm has it: the paper's areas go up to 0.4, its aspects are not logarithmic.
HOLE_AREAS, HOLE_ASPECTS = (0.02, 1 / 3), (0.3, 1 / 0.3)
NOISE_BYTES = 2**20  # from which erased rectangles begin at different places


class Strength(NamedTuple):
    """An operation's argument at magnitude m, from 0 to 10: base + sign * (span * m / 10)."""

    span: float = 0.0
    base: float = 0.0
    sign: int = 1  # 0: one of the two, at random
    whole: bool = False  # span * m / 10 is cut to a whole number


# timm's "rand-m9-mstd0.5-inc1", which the paper's authors used; Posterize at magnitude 10 leaves black, as there. But
# what is moved takes the nearest pixels and leaves grey, where timm interpolates and fills with the mean colour.
RANDAUGMENT = {
    "AutoContrast": Strength(),
    "Equalize": Strength(),
    "Invert": Strength(),
    "Rotate": Strength(30, sign=0),
    "Posterize": Strength(4, base=4, sign=-1, whole=True),
    "Solarize": Strength(256, base=256, sign=-1, whole=True),
    "SolarizeAdd": Strength(110, whole=True),
    "Color": Strength(0.9, base=1, sign=0),
    "Contrast": Strength(0.9, base=1, sign=0),
    "Brightness": Strength(0.9, base=1, sign=0),
    "Sharpness": Strength(0.9, base=1, sign=0),
    "ShearX": Strength(0.3, sign=0),
    "ShearY": Strength(0.3, sign=0),
    "TranslateX": Strength(0.45, sign=0),
    "TranslateY": Strength(0.45, sign=0),
}
# AutoAugment's code, whose translations are up to 10 pixels of 32.
AUTOAUGMENT = RANDAUGMENT | {
    "Color": Strength(1.8, base=0.1),
    "Contrast": Strength(1.8, base=0.1),
    "Brightness": Strength(1.8, base=0.1),
    "Sharpness": Strength(1.8, base=0.1),
    "TranslateX": Strength(10 / 32, sign=0),
    "TranslateY": Strength(10 / 32, sign=0),
}
# The appendix of AutoAugment (arXiv:1805.09501): two operations, each with its probability and magnitude.
SUBPOLICIES = {
    "autoaugment_cifar10": (
        (("Invert", 0.1, 7), ("Contrast", 0.2, 6)),
        (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
        (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
        (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
        (("AutoContrast", 0.5, 8), ("Equalize", 0.9, 2)),
        (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
        (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
        (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
        (("Equalize", 0.6, 5), ("Equalize", 0.5, 1)),
        (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
        (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
        (("Equalize", 0.3, 7), ("AutoContrast", 0.4, 8)),
        (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
        (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
        (("Solarize", 0.5, 2), ("Invert", 0.0, 3)),
        (("Equalize", 0.2, 0), ("AutoContrast", 0.6, 0)),
        (("Equalize", 0.2, 8), ("Equalize", 0.6, 4)),
        (("Color", 0.9, 9), ("Equalize", 0.6, 6)),
        (("AutoContrast", 0.8, 4), ("Solarize", 0.2, 8)),
        (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
        (("Solarize", 0.4, 5), ("AutoContrast", 0.9, 3)),
        (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
        (("AutoContrast", 0.9, 2), ("Solarize", 0.8, 3)),
        (("Equalize", 0.8, 8), ("Invert", 0.1, 3)),
        (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, 1)),
    ),
    "autoaugment_svhn": (
        (("ShearX", 0.9, 4), ("Invert", 0.2, 3)),
        (("ShearY", 0.9, 8), ("Invert", 0.7, 5)),
        (("Equalize", 0.6, 5), ("Solarize", 0.6, 6)),
        (("Invert", 0.9, 3), ("Equalize", 0.6, 3)),
        (("Equalize", 0.6, 1), ("Rotate", 0.9, 3)),
        (("ShearX", 0.9, 4), ("AutoContrast", 0.8, 3)),
        (("ShearY", 0.9, 8), ("Invert", 0.4, 5)),
        (("ShearY", 0.9, 5), ("Solarize", 0.2, 6)),
        (("Invert", 0.9, 6), ("AutoContrast", 0.8, 1)),
        (("Equalize", 0.6, 3), ("Rotate", 0.9, 3)),
        (("ShearX", 0.9, 4), ("Solarize", 0.3, 3)),
        (("ShearY", 0.8, 8), ("Invert", 0.7, 4)),
        (("Equalize", 0.9, 5), ("TranslateY", 0.6, 6)),
        (("Invert", 0.9, 4), ("Equalize", 0.6, 7)),
        (("Contrast", 0.3, 3), ("Rotate", 0.8, 4)),
        (("Invert", 0.8, 5), ("TranslateY", 0.0, 2)),
        (("ShearY", 0.7, 6), ("Solarize", 0.4, 8)),
        (("Invert", 0.6, 4), ("Rotate", 0.8, 4)),
        (("ShearY", 0.3, 7), ("TranslateX", 0.9, 3)),
        (("ShearX", 0.1, 6), ("Invert", 0.6, 5)),
        (("Solarize", 0.7, 2), ("TranslateY", 0.6, 7)),
        (("ShearY", 0.8, 4), ("Invert", 0.8, 8)),
        (("ShearX", 0.7, 9), ("TranslateY", 0.8, 3)),
        (("ShearY", 0.8, 5), ("AutoContrast", 0.7, 3)),
        (("ShearX", 0.7, 2), ("Invert", 0.1, 5)),
    ),
}

Streams = Callable[[int], np.random.Generator]  # by purpose


class Draws(NamedTuple):
    """What happens to each of n pictures in one epoch; None is what happens to none of them."""

    shift_n2: np.ndarray | None = None  # row and column at which the crop begins, -padding..padding
    box_n4: np.ndarray | None = None  # top, left, height, width of a crop that is resized
    flip_n: np.ndarray | None = None  # bool
    operation_nl: np.ndarray | None = None  # places in OPERATIONS, one for each layer, or -1
    argument_nl: np.ndarray | None = None
    hole_n4: np.ndarray | None = None  # erased, or a height of 0
    start_n: np.ndarray | None = None  # in the noise, of what fills the hole
    noise: np.ndarray | None = None  # bytes, the same for all
    own_n: np.ndarray | None = None  # MixUp: what a picture keeps of itself, in 1/256
    patch_n4: np.ndarray | None = None  # CutMix: what it takes from another, or a height of 0

    def take(self, chosen: np.ndarray) -> "Draws":
        """Those of the chosen pictures."""
        each = {name: drawn[chosen] for name, drawn in self._asdict().items() if drawn is not None and name != "noise"}
        return self._replace(**each)


def stream(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    """The random numbers of one purpose in one epoch (0-based)."""
    return np.random.default_rng([seed, epoch, purpose])


def draw(augment: AugmentParams, *, seed: int, epoch: int, shape: tuple[int, ...]) -> Draws:
    """Draw for pictures of shape (n, h, w, c) at once; entry i belongs to picture i whatever its place in the epoch."""
    count, height, width, channels = shape
    size = {"count": count, "height": height, "width": width}
    streams = functools.partial(stream, seed, epoch)
    drawn = {}
    if augment.crop_padding:
        places_2n = streams(CROP).integers(0, 2 * augment.crop_padding + 1, (2, count))
        drawn["shift_n2"] = places_2n.T - augment.crop_padding
    if augment.resized_crop is not None:
        drawn["box_n4"] = _crop_boxes(augment.resized_crop, streams, **size)
    if augment.horizontal_flip:
        drawn["flip_n"] = streams(FLIP).random(count) < 0.5
    if augment.policy == "randaugment":
        drawn["operation_nl"], drawn["argument_nl"] = _randaugment(augment, streams, count)
    elif augment.policy != "none":
        drawn["operation_nl"], drawn["argument_nl"] = _autoaugment(SUBPOLICIES[augment.policy], streams, count)
    if augment.erasing:
        holes_n4 = _rectangles(HOLE_AREAS, HOLE_ASPECTS, streams(HOLE), streams(HOLE_PLACE), **size)
        drawn["hole_n4"] = holes_n4 * (streams(ERASED).random((count, 1)) < augment.erasing)
        drawn["start_n"] = streams(NOISE_START).integers(0, NOISE_BYTES, count)
        drawn["noise"] = streams(NOISE).integers(0, 256, NOISE_BYTES + height * width * channels, np.uint8)
    if (augment.mixup or augment.cutmix) and (augment.mix_epochs is None or epoch < augment.mix_epochs):
        drawn |= _mixing(augment, streams, **size)
    return Draws(**drawn)


def apply(images_nhwc: np.ndarray, targets_nk: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """What was drawn for each picture of a batch, in this order: crop, flip, policy, erasing, MixUp or CutMix.

    Args:
        images_nhwc: uint8.
        targets_nk: float32, one-hot.
        draws: theirs.

    Returns:
        Pictures of the same shape, the given ones where nothing was drawn, and targets, soft where pictures are mixed.
    """
    images = np.ascontiguousarray(images_nhwc)  # of a memory-mapped one, a plain array
    if draws.shift_n2 is not None:
        images = transforms.crop(images, *draws.shift_n2.T)
    if draws.box_n4 is not None:
        images = transforms.resized_crop(images, draws.box_n4)
    if draws.flip_n is not None:
        images = transforms.flip(images, draws.flip_n)
    if draws.operation_nl is not None:
        for operation_n, argument_n in zip(draws.operation_nl.T, draws.argument_nl.T, strict=True):
            images = transforms.operate(images, operation_n, argument_n)
    if draws.hole_n4 is not None:
        images = transforms.erase(images, draws.hole_n4, noise=draws.noise, start_n=draws.start_n)
    if draws.own_n is None and draws.patch_n4 is None:
        return images, targets_nk
    return transforms.mix(images, targets_nk, own_n=draws.own_n, box_n4=draws.patch_n4)


def switched_on(augment: AugmentParams) -> list[str]:
    """What of it is on, in the order in which it is done."""
    policies = {
        "none": "",
        "randaugment": "RandAugment",
        "autoaugment_cifar10": "AutoAugment (CIFAR-10)",
        "autoaugment_svhn": "AutoAugment (SVHN)",
    }
    mixes = augment.mix_probability and augment.mix_epochs != 0
    cut = augment.mix_switch if augment.mixup else 1  # a switch is for two
    up = 1 - augment.mix_switch if augment.cutmix else 1
    found = {
        "crop": augment.crop_padding,
        "resized crop": augment.resized_crop,
        "flip": augment.horizontal_flip,
        policies[augment.policy]: augment.policy != "none",
        "erasing": augment.erasing,
        "MixUp": mixes and augment.mixup * up,
        "CutMix": mixes and augment.cutmix * cut,
    }
    return [name for name, strength in found.items() if strength]


def examples(images_nhwc: np.ndarray, labels_n: np.ndarray, augment: AugmentParams) -> dict[str, np.ndarray]:
    """The first pictures of up to eight classes as each ingredient changes them by itself, and last as `augment` does.

    Each is as strong as `augment` says, or as in the paper's recipes where it is off there, and has its turn with every
    picture; a policy's own probabilities and a random crop may still leave some as they were.

    Returns:
        Pictures (m, h, w, c) by what was done to them; m is even, so that none is mixed with itself.
    """
    _, first_k = np.unique(labels_n, return_index=True)
    images_mhwc = np.asarray(images_nhwc[np.sort(first_k)[: min(8, len(first_k) // 2 * 2)]])
    nothing = augment.model_copy(
        update={
            "crop_padding": 0,
            "resized_crop": None,
            "horizontal_flip": False,
            "policy": "none",
            "randaugment_probability": 1.0,
            "erasing": 0.0,
            "mixup": 0.0,
            "cutmix": 0.0,
            "mix_probability": 1.0,
            "mix_epochs": None,
        }
    )
    padding, share = augment.crop_padding or max(1, images_mhwc.shape[1] // 8), augment.resized_crop or 0.8
    mixup, cutmix = augment.mixup or 0.8, augment.cutmix or 1.0
    layers, magnitude = augment.randaugment_layers, augment.randaugment_magnitude
    ingredients = {
        "original": {},
        f"crop (padding {padding}), flip": {"crop_padding": padding, "horizontal_flip": True},
        f"resized crop (from {share:g})": {"resized_crop": share},
        f"RandAugment ({layers}, {magnitude:g})": {"policy": "randaugment"},
        "AutoAugment (CIFAR-10)": {"policy": "autoaugment_cifar10"},
        "AutoAugment (SVHN)": {"policy": "autoaugment_svhn"},
        "erasing": {"erasing": 1.0},
        f"MixUp (alpha {mixup:g})": {"mixup": mixup},
        f"CutMix (alpha {cutmix:g})": {"cutmix": cutmix},
    }
    rows = {name: nothing.model_copy(update=changes) for name, changes in ingredients.items()}
    targets_mm = np.eye(len(images_mhwc), dtype=np.float32)
    return {
        name: apply(images_mhwc, targets_mm, draw(row, seed=0, epoch=0, shape=images_mhwc.shape))[0]
        for name, row in (rows | {"as in params.yaml": augment}).items()
    }


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
    """Top, left, height and width (n, 4) of rectangles within the picture, at uniform places.

    Areas are uniform, as shares of the picture's, and aspects log-uniform. What does not fit is drawn again, and
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


def _arguments(strengths: dict[str, Strength], operation: np.ndarray, magnitude: np.ndarray, streams: Streams):
    """Of operations (n, layers) at their magnitudes (n, layers)."""
    table = np.array([strengths[name] for name in OPERATIONS])
    span, base, sign, whole = np.moveaxis(table[operation], -1, 0)
    change = span * magnitude / 10
    change = np.where(whole, np.trunc(change), change)
    return base + np.where(sign, sign, np.where(streams(SIGN).random(operation.shape) < 0.5, -1, 1)) * change


def _randaugment(augment: AugmentParams, streams: Streams, count: int) -> tuple[np.ndarray, np.ndarray]:
    shape = (count, augment.randaugment_layers)
    operation_nl = streams(OPERATION).integers(0, len(OPERATIONS), shape)  # RandAugment's are all there are
    magnitude_nl = streams(MAGNITUDE).normal(augment.randaugment_magnitude, augment.randaugment_noise, shape)
    argument_nl = _arguments(RANDAUGMENT, operation_nl, np.clip(magnitude_nl, 0, 10), streams)
    applied_nl = streams(APPLIED).random(shape) < augment.randaugment_probability
    return np.where(applied_nl, operation_nl, -1), argument_nl


def _autoaugment(subpolicies: tuple, streams: Streams, count: int) -> tuple[np.ndarray, np.ndarray]:
    chosen_n = streams(SUBPOLICY).integers(0, len(subpolicies), count)
    place, probability, magnitude = np.array(
        [[(OPERATIONS.index(name), *rest) for name, *rest in subpolicy] for subpolicy in subpolicies]
    ).T  # each (2, 25)
    operation_nl = place.astype(np.int64).T[chosen_n]
    argument_nl = _arguments(AUTOAUGMENT, operation_nl, magnitude.T[chosen_n], streams)
    applied_nl = streams(APPLIED).random((count, 2)) < probability.T[chosen_n]
    return np.where(applied_nl, operation_nl, -1), argument_nl


def _mixing(augment: AugmentParams, streams: Streams, *, count: int, height: int, width: int) -> dict[str, np.ndarray]:
    """MixUp's shares and CutMix's boxes, as far as either is on; of one picture it is one of the two or neither."""
    mixed_n = streams(MIXED).random(count) < augment.mix_probability
    share = augment.mix_switch if augment.mixup and augment.cutmix else float(augment.cutmix > 0)
    cut_n = streams(CUT).random(count) < share
    drawn = {}
    if augment.mixup:
        own_n = np.rint(256 * streams(MIXUP).beta(augment.mixup, augment.mixup, count)).astype(np.int64)
        drawn["own_n"] = np.where(mixed_n & ~cut_n, own_n, 256)
    if augment.cutmix:
        # A box of the drawn share, its middle anywhere, cut off where the picture ends, as in the paper's code.
        side_n1 = np.sqrt(1 - streams(CUTMIX).beta(augment.cutmix, augment.cutmix, (count, 1)))
        half_n2 = (side_n1 * [height, width]).astype(np.int64) // 2
        middle_n2 = streams(CUTMIX_PLACE).integers(0, [height, width], (count, 2))
        start_n2, end_n2 = np.maximum(middle_n2 - half_n2, 0), np.minimum(middle_n2 + half_n2, [height, width])
        drawn["patch_n4"] = np.concatenate([start_n2, end_n2 - start_n2], axis=1) * (mixed_n & cut_n)[:, None]
    return drawn
