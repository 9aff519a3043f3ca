"""RandAugment and AutoAugment: the operations that an image gets, and their strength."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cct.augment.policy_ops import OPERATIONS
from cct.augment.streams import APPLIED, MAGNITUDE, OPERATION, SIGN, SUBPOLICY, Streams

if TYPE_CHECKING:
    from cct.augment.params import AugmentParams


class Strength(NamedTuple):
    """The argument of an operation at magnitude m, from 0 to 10: base + sign * (span * m / 10)."""

    span: float = 0.0
    base: float = 0.0
    sign: int = 1  # 0 means 1 or -1, at random
    whole: bool = False  # span * m / 10 is truncated to a whole number


# timm's "rand-m9-mstd0.5-inc1", which the paper's authors used. As in timm, Posterize at magnitude 10 gives black.
# Moved images take the nearest pixels and leave grey. timm, however, interpolates and fills with the mean colour.
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
# As in AutoAugment's code, whose largest translation is 10 of 32 pixels.
AUTOAUGMENT = RANDAUGMENT | {
    "Color": Strength(1.8, base=0.1),
    "Contrast": Strength(1.8, base=0.1),
    "Brightness": Strength(1.8, base=0.1),
    "Sharpness": Strength(1.8, base=0.1),
    "TranslateX": Strength(10 / 32, sign=0),
    "TranslateY": Strength(10 / 32, sign=0),
}
# From the appendix of AutoAugment (arXiv:1805.09501). Each line is two operations with probability and magnitude.
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


def _arguments(
    strengths: dict[str, Strength], operation_nl: np.ndarray, magnitude_nl: np.ndarray, streams: Streams
) -> np.ndarray:
    """The arguments (n, l) of operations at their magnitudes."""
    unused = Strength()  # for operations that this policy does not have
    table = np.array([strengths.get(name, unused) for name in OPERATIONS])
    span, base, sign, whole = np.moveaxis(table[operation_nl], -1, 0)
    change = span * magnitude_nl / 10
    change = np.where(whole, np.trunc(change), change)
    return base + np.where(sign, sign, np.where(streams(SIGN).random(operation_nl.shape) < 0.5, -1, 1)) * change


def _randaugment(augment: "AugmentParams", streams: Streams, count: int) -> tuple[np.ndarray, np.ndarray]:
    shape = (count, augment.randaugment_num_ops)
    own = np.array([place for place, name in enumerate(OPERATIONS) if name in RANDAUGMENT])
    operation_nl = own[streams(OPERATION).integers(0, len(own), shape)]
    magnitude_nl = streams(MAGNITUDE).normal(augment.randaugment_magnitude, augment.randaugment_magnitude_std, shape)
    argument_nl = _arguments(RANDAUGMENT, operation_nl, np.clip(magnitude_nl, 0, 10), streams)
    applied_nl = streams(APPLIED).random(shape) < augment.randaugment_prob
    return np.where(applied_nl, operation_nl, -1), argument_nl


def _autoaugment(
    subpolicies: tuple, augment: "AugmentParams", streams: Streams, count: int
) -> tuple[np.ndarray, np.ndarray]:
    subpolicy_n = streams(SUBPOLICY).integers(0, len(subpolicies), count)
    place, probability, magnitude = np.array(
        [[(OPERATIONS.index(name), *rest) for name, *rest in subpolicy] for subpolicy in subpolicies]
    ).T  # each (2, 25)
    operation_nl = place.astype(np.int64).T[subpolicy_n]
    argument_nl = _arguments(AUTOAUGMENT, operation_nl, magnitude.T[subpolicy_n], streams)
    applied_nl = streams(APPLIED).random((count, 2)) < probability.T[subpolicy_n]
    return np.where(applied_nl, operation_nl, -1), argument_nl


class Policy(NamedTuple):
    """How a policy chooses operations.

    Attributes:
        title: title in the figure.
        sample: samples for n images. Returns their operations (n, l), as places in `OPERATIONS` or -1 for none, and
            the arguments (n, l).
    """

    title: str
    sample: Callable[["AugmentParams", Streams, int], tuple[np.ndarray, np.ndarray]] | None


POLICIES = {
    "none": Policy("", None),
    "randaugment": Policy("RandAugment", _randaugment),
    "autoaugment_cifar10": Policy(
        "AutoAugment (CIFAR-10)", functools.partial(_autoaugment, SUBPOLICIES["autoaugment_cifar10"])
    ),
    "autoaugment_svhn": Policy("AutoAugment (SVHN)", functools.partial(_autoaugment, SUBPOLICIES["autoaugment_svhn"])),
}
