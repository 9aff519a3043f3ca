"""The table of image augmentations, `AUGMENTATIONS`. Its order is the order of application.

To add an augmentation, write its functions and an entry here, and its parameters in `cct.augment.params`. Give it new
purposes for its random numbers (`cct.augment.streams`). Then the random numbers of the others do not change.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cct.augment import ops
from cct.augment.ops import WHOLE
from cct.augment.params import AugmentParams
from cct.augment.policies import POLICIES
from cct.augment.policy_ops import apply_ops
from cct.augment.rectangles import sample_rectangles
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
)

ASPECTS = (3 / 4, 4 / 3)  # width / height of a resized crop by that of the image; of a square as in torchvision
# Random erasing (arXiv:1708.04896) with timm's ranges. In the paper, areas reach 0.4 and aspects are not log-uniform.
HOLE_AREAS, HOLE_ASPECTS = (0.02, 1 / 3), (0.3, 1 / 0.3)
NOISE_BYTES = 2**20  # all erased rectangles share this noise; each starts at its own place in it

Shape = tuple[int, int, int, int]  # n, height, width, channels
Sampled = dict[str, np.ndarray]  # arrays by name; each has an entry for each image, or is `shared` by all
Batch = tuple[np.ndarray, np.ndarray]  # images and targets


class Augmentation(NamedTuple):
    """One augmentation.

    Attributes:
        sample: takes the parameters, random numbers, the shape of all images and the epoch. Returns the arrays that say
            what happens to each image; empty if the augmentation is off.
        apply: takes images (n, h, w, c), targets (n, k) and their sampled arrays. Returns new images and targets.
        off: parameter values that turn it off.
        alone: for the preview. Takes the parameters and the height of the images. Returns, by title, the parameters
            that show this augmentation alone.
        names: names of its enabled parts, for the title of the preview.
        shared: names of sampled arrays that all images share.
    """

    sample: Callable[[AugmentParams, Streams, Shape, int], Sampled]
    apply: Callable[[np.ndarray, np.ndarray, Sampled], Batch]
    off: dict[str, Any]
    alone: Callable[[AugmentParams, int], dict[str, dict[str, Any]]]
    names: Callable[[AugmentParams], list[str]]
    shared: tuple[str, ...] = ()


def _sample_crop(augment: AugmentParams, streams: Streams, shape: Shape, epoch: int) -> Sampled:
    if not augment.crop_padding:
        return {}
    places_2n = streams(CROP).integers(0, 2 * augment.crop_padding + 1, (2, shape[0]))
    shift_n2 = places_2n.T - augment.crop_padding  # row and column where the crop begins
    return {"shift_n2": shift_n2, "padding_mode": np.array(augment.crop_padding_mode)}


def _apply_crop(images: np.ndarray, targets: np.ndarray, sampled: Sampled) -> Batch:
    return ops.crop(images, *sampled["shift_n2"].T, mode=str(sampled["padding_mode"])), targets


def _crop_alone(augment: AugmentParams, height: int) -> dict[str, dict[str, Any]]:
    padding = augment.crop_padding or max(1, height // 8)
    return {f"crop (padding {padding})": {"crop_padding": padding}}


def _sample_resized_crop(augment: AugmentParams, streams: Streams, shape: Shape, epoch: int) -> Sampled:
    """Sample as torchvision's RandomResizedCrop of square images. If no box fits, take the whole image.

    Aspects are relative to the image's: torchvision makes squares of its boxes, and here they keep the image's shape.
    With absolute ones no large box fits into a long image, and every crop would be the same box in its middle.
    """
    if augment.resized_crop is None:
        return {}
    count, height, width, _ = shape
    size = {"count": count, "height": height, "width": width}
    aspects = (ASPECTS[0] * width / height, ASPECTS[1] * width / height)
    box_n4 = sample_rectangles((augment.resized_crop, 1.0), aspects, streams(BOX), streams(BOX_PLACE), **size)
    return {"box_n4": np.where(box_n4[:, 2:3] > 0, box_n4, [0, 0, height, width])}  # top, left, height, width


def _apply_resized_crop(images: np.ndarray, targets: np.ndarray, sampled: Sampled) -> Batch:
    return ops.resized_crop(images, sampled["box_n4"]), targets


def _resized_crop_alone(augment: AugmentParams, height: int) -> dict[str, dict[str, Any]]:
    share = augment.resized_crop or 0.8
    return {f"resized crop (from {share:g})": {"resized_crop": share}}


def _sample_flip(augment: AugmentParams, streams: Streams, shape: Shape, epoch: int) -> Sampled:
    return {"flip_n": streams(FLIP).random(shape[0]) < 0.5} if augment.horizontal_flip else {}


def _apply_flip(images: np.ndarray, targets: np.ndarray, sampled: Sampled) -> Batch:
    return ops.flip(images, sampled["flip_n"]), targets


def _sample_policy(augment: AugmentParams, streams: Streams, shape: Shape, epoch: int) -> Sampled:
    sample = POLICIES[augment.policy].sample
    if sample is None:
        return {}
    operation_nl, argument_nl = sample(augment, streams, shape[0])
    return {"operation_nl": operation_nl, "argument_nl": argument_nl}


def _apply_policy(images: np.ndarray, targets: np.ndarray, sampled: Sampled) -> Batch:
    for operation_n, argument_n in zip(sampled["operation_nl"].T, sampled["argument_nl"].T, strict=True):
        images = apply_ops(images, operation_n, argument_n)
    return images, targets


def _policy_alone(augment: AugmentParams, height: int) -> dict[str, dict[str, Any]]:
    strength = f" ({augment.randaugment_num_ops}, {augment.randaugment_magnitude:g})"
    return {
        policy.title + (strength if name == "randaugment" else ""): {"policy": name, "randaugment_prob": 1.0}
        for name, policy in POLICIES.items()
        if policy.sample
    }


def _sample_erasing(augment: AugmentParams, streams: Streams, shape: Shape, epoch: int) -> Sampled:
    if not augment.random_erasing_prob:
        return {}
    count, height, width, channels = shape
    size = {"count": count, "height": height, "width": width}
    hole_n4 = sample_rectangles(HOLE_AREAS, HOLE_ASPECTS, streams(HOLE), streams(HOLE_PLACE), **size)
    return {
        "hole_n4": hole_n4 * (streams(ERASED).random((count, 1)) < augment.random_erasing_prob),  # height 0: not erased
        "start_n": streams(NOISE_START).integers(0, NOISE_BYTES, count),  # place in the noise
        "noise": streams(NOISE).integers(0, 256, NOISE_BYTES + height * width * channels, np.uint8),
    }


def _apply_erasing(images: np.ndarray, targets: np.ndarray, sampled: Sampled) -> Batch:
    return ops.erase(images, sampled["hole_n4"], noise=sampled["noise"], start_n=sampled["start_n"]), targets


def sample_mixed(augment: AugmentParams, streams: Streams, count: int, epoch: int) -> np.ndarray | None:
    """Whether each of n examples is mixed with its partner, (n,). None: nothing is mixed in this epoch."""
    on = augment.mixup_alpha or augment.cutmix_alpha
    if not on or (augment.mix_epochs is not None and epoch >= augment.mix_epochs):
        return None
    return streams(MIXED).random(count) < augment.mix_prob


def sample_mixup_weights(augment: AugmentParams, streams: Streams, mixup_n: np.ndarray) -> np.ndarray:
    """MixUp's weight of each example itself, in 1/`WHOLE`, (n,), int64. The weight of its partner is the rest.

    Args:
        augment: has `mixup_alpha`, above 0.
        streams: random numbers of the epoch.
        mixup_n: whether each example gets MixUp. The others keep the whole weight.
    """
    weight_n = np.rint(WHOLE * streams(MIXUP).beta(augment.mixup_alpha, augment.mixup_alpha, len(mixup_n)))
    return np.where(mixup_n, weight_n.astype(np.int64), WHOLE)


def _sample_mixing(augment: AugmentParams, streams: Streams, shape: Shape, epoch: int) -> Sampled:
    """Sample MixUp's weights and CutMix's boxes, each if it is on. An image gets MixUp, CutMix or neither."""
    count, height, width, _ = shape
    mixed_n = sample_mixed(augment, streams, count, epoch)
    if mixed_n is None:
        return {}
    share = augment.mix_switch_prob if augment.mixup_alpha and augment.cutmix_alpha else float(augment.cutmix_alpha > 0)
    cut_n = streams(CUT).random(count) < share
    sampled = {}
    if augment.mixup_alpha:
        sampled["mixup_weight_n"] = sample_mixup_weights(augment, streams, mixed_n & ~cut_n)
    if augment.cutmix_alpha:
        # The box covers the sampled share of the area, and its centre is anywhere in the image. The image's edges cut
        # it off, as in the paper's code.
        side_n1 = np.sqrt(1 - streams(CUTMIX).beta(augment.cutmix_alpha, augment.cutmix_alpha, (count, 1)))
        half_n2 = (side_n1 * [height, width]).astype(np.int64) // 2
        middle_n2 = streams(CUTMIX_PLACE).integers(0, [height, width], (count, 2))
        start_n2, end_n2 = np.maximum(middle_n2 - half_n2, 0), np.minimum(middle_n2 + half_n2, [height, width])
        box_n4 = np.concatenate([start_n2, end_n2 - start_n2], axis=1)
        sampled["cutmix_box_n4"] = box_n4 * (mixed_n & cut_n)[:, None]  # box from the other image; height 0: none
    return sampled


def _apply_mixing(images: np.ndarray, targets: np.ndarray, sampled: Sampled) -> Batch:
    return ops.mix(images, targets, weight_n=sampled.get("mixup_weight_n"), box_n4=sampled.get("cutmix_box_n4"))


def _mixing_alone(augment: AugmentParams, height: int) -> dict[str, dict[str, Any]]:
    always = {"mix_prob": 1.0, "mix_epochs": None}
    mixup, cutmix = augment.mixup_alpha or 0.8, augment.cutmix_alpha or 1.0
    return {
        f"MixUp (alpha {mixup:g})": {"mixup_alpha": mixup, **always},
        f"CutMix (alpha {cutmix:g})": {"cutmix_alpha": cutmix, **always},
    }


def _mixing_names(augment: AugmentParams) -> list[str]:
    if not augment.mix_prob or augment.mix_epochs == 0:
        return []
    # mix_switch_prob has an effect only if both are on.
    mixup = augment.mixup_alpha * (1 - augment.mix_switch_prob if augment.cutmix_alpha else 1)
    cutmix = augment.cutmix_alpha * (augment.mix_switch_prob if augment.mixup_alpha else 1)
    return [name for name, strength in {"MixUp": mixup, "CutMix": cutmix}.items() if strength]


AUGMENTATIONS = {
    "crop": Augmentation(
        _sample_crop,
        _apply_crop,
        {"crop_padding": 0},
        _crop_alone,
        lambda a: ["reflected crop" if a.crop_padding_mode == "reflect" else "crop"] * bool(a.crop_padding),
        shared=("padding_mode",),
    ),
    "resized_crop": Augmentation(
        _sample_resized_crop,
        _apply_resized_crop,
        {"resized_crop": None},
        _resized_crop_alone,
        lambda a: ["resized crop"] * bool(a.resized_crop),
    ),
    "flip": Augmentation(
        _sample_flip,
        _apply_flip,
        {"horizontal_flip": False},
        lambda a, height: {"flip": {"horizontal_flip": True}},
        lambda a: ["flip"] * a.horizontal_flip,
    ),
    "policy": Augmentation(
        _sample_policy,
        _apply_policy,
        {"policy": "none"},
        _policy_alone,
        lambda a: [POLICIES[a.policy].title] * bool(POLICIES[a.policy].sample),
    ),
    "random_erasing": Augmentation(
        _sample_erasing,
        _apply_erasing,
        {"random_erasing_prob": 0.0},
        lambda a, height: {"random erasing": {"random_erasing_prob": 1.0}},
        lambda a: ["random erasing"] * bool(a.random_erasing_prob),
        shared=("noise",),
    ),
    "mixing": Augmentation(
        _sample_mixing, _apply_mixing, {"mixup_alpha": 0.0, "cutmix_alpha": 0.0}, _mixing_alone, _mixing_names
    ),
}
