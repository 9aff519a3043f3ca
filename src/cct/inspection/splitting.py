"""The splits that preprocess would choose for a data source, or why it cannot."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cct.data.arrays import DataError
from cct.data.images.source import choose_splits
from cct.data.params import PreprocessParams
from cct.data.splits import TEST, TRAIN, UNSTATED, VAL, label_items
from cct.inspection.examine import Examined

UNUSABLE = -2  # the split of a bad image


class Splitting(NamedTuple):
    """The splits of a source.

    Attributes:
        label_n: the index of each item's class.
        stated_n: the split of each item as the source says it, or UNSTATED. Where any is stated, the others train.
        split_n: the split of each item as preprocess chooses it, or UNUSABLE; as stated where it cannot.
        error: why it cannot; empty where it can.
        small: different training images of each class that has fewer than `needed`.
        needed: how many different training images each class needs, so that each split has one.
    """

    label_n: np.ndarray
    stated_n: np.ndarray
    split_n: np.ndarray
    error: str
    small: Mapping[str, int]
    needed: int


def make_splitting(examined: Examined, preprocess: PreprocessParams) -> Splitting:
    """Choose the splits of the good images with the fractions and the seed of the parameters."""
    labels = label_items(examined.items, examined.classes)
    label_n, stated_n = labels
    good_n = examined.decoded.facts_n["error"] == b""
    split_n, error = np.where(good_n, stated_n, UNUSABLE), ""
    good = np.flatnonzero(good_n)
    try:
        split_n[good] = choose_splits(labels, good, examined.group_n, preprocess, classes=examined.classes)
    except DataError as refused:
        error = str(refused)
    needed = 3 - sum(bool((stated_n[good_n] == split).any()) for split in (VAL, TEST))
    return Splitting(label_n, stated_n, split_n, error, _small(examined, label_n, stated_n, good_n, needed), needed)


def _small(
    examined: Examined, label_n: np.ndarray, stated_n: np.ndarray, good_n: np.ndarray, needed: int
) -> dict[str, int]:
    """The classes with fewer than `needed` groups of images that may train."""
    may_train = good_n & np.isin(stated_n, (UNSTATED, TRAIN))
    pairs = np.unique(np.stack([label_n[may_train], examined.group_n[may_train]]), axis=1)
    counts = np.bincount(pairs[0], minlength=len(examined.classes))
    return {name: int(count) for name, count in zip(examined.classes, counts, strict=True) if count < needed}
