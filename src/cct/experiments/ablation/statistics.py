"""Differences between accuracies, and their standard errors."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cct.evaluation.metrics import wilson_interval


class Difference(NamedTuple):
    """The difference between two accuracies, in percentage points, with its standard errors."""

    points: float
    examples: float  # standard error over other test examples
    seeds: float | None  # standard error over other seeds; None if every variant has one seed

    @property
    def error(self) -> float:
        """The standard error over examples and seeds."""
        return math.hypot(self.examples, self.seeds or 0.0)

    def half_width(self, level: float, degrees: int) -> float:
        """Half the width of Student's interval: the deviation of few seeds is uncertain itself.

        Args:
            level: the share of such intervals that contain the true difference.
            degrees: degrees of freedom of the seeds' deviation. Satterthwaite's formula gives the degrees of freedom of
                both errors together.
        """
        from scipy import stats

        together = degrees * (self.error / self.seeds) ** 4 if self.seeds else math.inf
        return float(stats.t.ppf((1 + level) / 2, together)) * self.error


def seed_deviation(variants_s: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation of an accuracy between seeds, pooled over variants; None if all have one seed."""
    several = [accuracies for accuracies in variants_s if len(accuracies) > 1]
    degrees = sum(len(accuracies) - 1 for accuracies in several)
    if not degrees:
        return None
    return math.sqrt(sum(statistics.variance(a) * (len(a) - 1) for a in several) / degrees)


def difference(changed_sn: np.ndarray, base_sn: np.ndarray, deviation: float | None) -> Difference:
    """The accuracy of a change minus the accuracy of the base.

    Both were tested on the same n examples, so the error over examples comes from paired differences. Examples that
    both get right or both get wrong cancel. Seeds are not pairs: after a change, the same seed gives other random
    numbers.

    Args:
        changed_sn: bool (seeds, examples): whether the prediction is right.
        base_sn: the same for the base, with other seeds.
        deviation: as `seed_deviation` returns it.
    """
    paired_n = changed_sn.mean(axis=0) - base_sn.mean(axis=0)
    examples = paired_n.std(ddof=1) / math.sqrt(len(paired_n))
    seeds = None if deviation is None else 100 * deviation * math.sqrt(1 / len(changed_sn) + 1 / len(base_sn))
    return Difference(100 * float(paired_n.mean()), 100 * float(examples), seeds)


def accuracy_interval(correct_sn: np.ndarray, level: float) -> tuple[float, float]:
    """The interval of an accuracy over test examples: Wilson's for one seed, a normal interval for a mean of several.

    Args:
        correct_sn: bool (seeds, examples): whether the prediction is right.
        level: the share of such intervals that contain the true accuracy.
    """
    if len(correct_sn) == 1:
        return wilson_interval(int(correct_sn.sum()), correct_sn.size, level)
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    mean_n = correct_sn.mean(axis=0)
    half = z * float(mean_n.std(ddof=1)) / math.sqrt(len(mean_n))
    return float(mean_n.mean()) - half, float(mean_n.mean()) + half
