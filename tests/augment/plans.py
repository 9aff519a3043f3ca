"""Samples of augmentation plans as arrays, and checks of their distributions."""

import numpy as np
from runs import OFF

from cct.augment.params import AugmentParams
from cct.augment.sampling import AugmentPlan, sample_plan

COUNT = 9000
SHAPE = (COUNT, 32, 32, 3)
# Each thing that can be on, by itself, and all that can be on at once.
ALONE = {
    "crop": {"crop_padding": 4},
    "reflected crop": {"crop_padding": 4, "crop_padding_mode": "reflect"},
    "resized_crop": {"resized_crop": 0.3},
    "flip": {"horizontal_flip": True},
    "randaugment": {"policy": "randaugment"},
    "autoaugment_cifar10": {"policy": "autoaugment_cifar10"},
    "autoaugment_svhn": {"policy": "autoaugment_svhn"},
    "random_erasing_prob": {"random_erasing_prob": 0.5},
    "mixup_alpha": {"mixup_alpha": 0.8},
    "cutmix_alpha": {"cutmix_alpha": 1.0},
}
TOGETHER = ("resized_crop", "flip", "randaugment", "random_erasing_prob", "mixup_alpha", "cutmix_alpha")
ALL = {key: value for name in TOGETHER for key, value in ALONE[name].items()}


def params(**changes) -> AugmentParams:
    return AugmentParams.model_validate(OFF.model_dump() | changes)


def plan_of(*, seed: int = 0, epoch: int = 0, shape: tuple[int, ...] = SHAPE, **changes) -> AugmentPlan:
    return sample_plan(params(**changes), seed=seed, epoch=epoch, shape=shape)


def arrays(plan: AugmentPlan) -> dict[str, np.ndarray]:
    """All sampled arrays by their own names, which differ between augmentations."""
    return {name: array for sampled in plan.sampled.values() for name, array in sampled.items()}


def array(plan: AugmentPlan, name: str) -> np.ndarray | None:
    return arrays(plan).get(name)


def changed(plan: AugmentPlan, **changes: np.ndarray | None) -> AugmentPlan:
    """The plan with other arrays, or without those that are None."""
    new = {
        name: {key: changes.get(key, array) for key, array in sampled.items() if changes.get(key, array) is not None}
        for name, sampled in plan.sampled.items()
    }
    return AugmentPlan({name: sampled for name, sampled in new.items() if sampled})


def equal(one: AugmentPlan, other: AugmentPlan) -> bool:
    a, b = arrays(one), arrays(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def unlikely(counts: np.ndarray, expected: np.ndarray) -> bool:
    """Chi-square above the mean of its distribution plus five deviations."""
    freedom = len(counts) - 1
    return ((counts - expected) ** 2 / expected).sum() >= freedom + 5 * np.sqrt(2 * freedom)


def near(hits: np.ndarray, probability: float) -> bool:
    return abs(hits.mean() - probability) <= 5 * np.sqrt(probability * (1 - probability) / hits.size)
