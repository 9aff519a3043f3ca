"""Differences between accuracies, and how sure they are."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cct.evaluation.metrics import wilson_interval


class Difference(NamedTuple):
    """Between two accuracies, in percentage points, with its standard errors."""

    points: float
    images: float  # other test images
    seeds: float | None  # other seeds; None where every variant has one

    @property
    def error(self) -> float:
        return math.hypot(self.images, self.seeds or 0.0)

    def half_width(self, level: float, degrees: int) -> float:
        """Of the interval: Student's, because a deviation of few seeds is itself uncertain.

        Args:
            level: the share of intervals that shall cover the truth.
            degrees: of freedom of the seeds' deviation; those of both errors together are Satterthwaite's.
        """
        from scipy import stats

        together = degrees * (self.error / self.seeds) ** 4 if self.seeds else math.inf
        return float(stats.t.ppf((1 + level) / 2, together)) * self.error


def seed_deviation(variants_s: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation of an accuracy from seed to seed, pooled over variants; None where all have one seed."""
    several = [accuracies for accuracies in variants_s if len(accuracies) > 1]
    degrees = sum(len(accuracies) - 1 for accuracies in several)
    if not degrees:
        return None
    return math.sqrt(sum(statistics.variance(a) * (len(a) - 1) for a in several) / degrees)


def difference(changed_sn: np.ndarray, base_sn: np.ndarray, deviation: float | None) -> Difference:
    """How much more accurate a change is than the base.

    Both saw the same n images, so that the error over images is that of the paired differences: what both get right
    or wrong cancels. Seeds are not pairs: one seed is other random numbers once anything is changed.

    Args:
        changed_sn: seeds x images, was the image right.
        base_sn: as `changed_sn`, with seeds of its own.
        deviation: as `seed_deviation` returns it.
    """
    paired_n = changed_sn.mean(axis=0) - base_sn.mean(axis=0)
    images = paired_n.std(ddof=1) / math.sqrt(len(paired_n))
    seeds = None if deviation is None else 100 * deviation * math.sqrt(1 / len(changed_sn) + 1 / len(base_sn))
    return Difference(100 * float(paired_n.mean()), 100 * float(images), seeds)


def accuracy_interval(correct_sn: np.ndarray, level: float, z: float) -> tuple[float, float]:
    """Of an accuracy, over test images: Wilson's of one seed, the normal one of the mean of several."""
    if len(correct_sn) == 1:
        return wilson_interval(int(correct_sn.sum()), correct_sn.size, level)
    mean_n = correct_sn.mean(axis=0)
    half = z * float(mean_n.std(ddof=1)) / math.sqrt(len(mean_n))
    return float(mean_n.mean()) - half, float(mean_n.mean()) + half
