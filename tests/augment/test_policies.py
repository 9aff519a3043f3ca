"""The operations of RandAugment and AutoAugment, compared with their sources."""

from collections import Counter

import numpy as np
import pytest
from plans import COUNT, array, near, plan_of, unlikely

from cct.augment import policy_ops
from cct.augment.policies import AUTOAUGMENT, RANDAUGMENT, SUBPOLICIES


def test_randaugment_is_timms():
    plan = plan_of(policy="randaugment", randaugment_num_ops=3)
    assert array(plan, "operation_nl").shape == array(plan, "argument_nl").shape == (COUNT, 3)
    assert RANDAUGMENT.keys() == {*policy_ops.OPERATIONS} and len(RANDAUGMENT) == 15
    assert near(array(plan, "operation_nl") >= 0, 0.5)
    for operation_n in array(plan, "operation_nl").T:
        counts = np.bincount(operation_n[operation_n >= 0], minlength=15)
        assert not unlikely(counts, counts.sum() / 15)
    pairs = [one * 15 + other for one, other in array(plan, "operation_nl")[:, :2].tolist() if min(one, other) >= 0]
    assert not unlikely(np.bincount(pairs, minlength=225), len(pairs) / 225)  # one layer knows nothing of the other


def at(name: str, magnitude: float, *, noise: float = 0.0) -> np.ndarray:
    """RandAugment's arguments of one operation."""
    plan = plan_of(
        policy="randaugment", randaugment_magnitude=magnitude, randaugment_magnitude_std=noise, randaugment_prob=1.0
    )
    return array(plan, "argument_nl")[array(plan, "operation_nl") == policy_ops.OPERATIONS.index(name)]


# Level to argument as timm's auto_augment.py computes it, without the sign.
TIMM = {
    "Rotate": lambda level: level / 10 * 30,
    "Posterize": lambda level: 4 - int(level / 10 * 4),
    "Solarize": lambda level: 256 - int(level / 10 * 256),
    "SolarizeAdd": lambda level: min(128, int(level / 10 * 110)),
    "ShearX": lambda level: level / 10 * 0.3,
    "ShearY": lambda level: level / 10 * 0.3,
    "TranslateX": lambda level: level / 10 * 0.45,
    "TranslateY": lambda level: level / 10 * 0.45,
    **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), lambda level: level / 10 * 0.9),
}
SIGNED = {"Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY", "Color", "Contrast", "Brightness", "Sharpness"}


@pytest.mark.parametrize("name", TIMM)
def test_magnitudes_are_timms(name):
    middle = 1 if name in ("Color", "Contrast", "Brightness", "Sharpness") else 0
    for level in range(11):
        arguments = at(name, level) - middle
        signs = (-1, 1) if name in SIGNED and level else (1,)
        expected = sorted({sign * TIMM[name](level) for sign in signs})
        np.testing.assert_allclose(np.unique(arguments.round(12)), expected, rtol=0, atol=1e-9)
        assert len(signs) == 1 or near(arguments > 0, 0.5)


def test_magnitudes_are_normal_and_cut():
    level_n = np.abs(at("Rotate", 9.0, noise=0.5)) / 3
    assert level_n.max() <= 10 and near(level_n >= 10 - 1e-9, 0.02275)
    edges = [-2.0, -1.0, 0.0, 1.0]
    below = [0.02275, 0.15866, 0.5, 0.84134]  # the normal distribution
    for edge, share in zip(edges, below, strict=True):
        assert near(level_n < 9 + 0.5 * edge, share)
    assert near(np.abs(at("Rotate", 0.0, noise=1.0)) == 0, 0.5)  # what would be below 0
    assert at("Posterize", 9.0, noise=0.5).min() == 0  # at magnitude 10


# Magnitude to argument as AutoAugment's augmentation_transforms.py computes it, without the sign, of images of 32x32.
AUTHORS = {
    "Rotate": lambda level: int(level * 30 / 10),
    "Posterize": lambda level: 4 - int(level * 4 / 10),
    "Solarize": lambda level: 256 - int(level * 256 / 10),
    "ShearX": lambda level: level * 0.3 / 10,
    "ShearY": lambda level: level * 0.3 / 10,
    "TranslateX": lambda level: int(level * 10 / 10) / 32,
    "TranslateY": lambda level: int(level * 10 / 10) / 32,
    **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), lambda level: level * 1.8 / 10 + 0.1),
    **dict.fromkeys(("Invert", "AutoContrast", "Equalize"), lambda level: 0),
}
TURNED = {"Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"}


@pytest.mark.parametrize("policy", SUBPOLICIES)
def test_autoaugment_is_the_papers(policy):
    """Of every pair that can be sampled, how often it is; and every argument and sign."""
    count = 200_000
    plan = plan_of(policy=policy, shape=(count, 32, 32, 3))
    expected, arguments = Counter(), [{}, {}]
    for subpolicy in SUBPOLICIES[policy]:
        for first in (True, False):
            for second in (True, False):
                share, pair = 1 / 25, []
                for done, (name, probability, _) in zip((first, second), subpolicy, strict=True):
                    share *= probability if done else 1 - probability
                    pair.append(policy_ops.OPERATIONS.index(name) if done else -1)
                expected[tuple(pair)] += share
        for layer, (name, probability, magnitude) in enumerate(subpolicy):
            if probability:
                arguments[layer].setdefault(name, set()).add(AUTHORS[name](magnitude))
    assert abs(sum(expected.values()) - 1) < 1e-9
    found = Counter(map(tuple, array(plan, "operation_nl").tolist()))
    possible = [pair for pair, share in expected.items() if share > 0]
    assert found.keys() <= {*possible}
    counts, shares = (np.array([counter[pair] for pair in possible]) for counter in (found, expected))
    assert not unlikely(counts, count * shares)
    for layer, by_name in enumerate(arguments):
        for name, values in by_name.items():
            argument_m = array(plan, "argument_nl")[
                array(plan, "operation_nl")[:, layer] == policy_ops.OPERATIONS.index(name), layer
            ]
            values = {*values, *(-value for value in values)} if name in TURNED else values
            np.testing.assert_allclose(np.unique(argument_m.round(12)), sorted(values), rtol=0, atol=1e-9)
            assert name not in TURNED or near(argument_m > 0, 0.5)


def test_subpolicies_are_well_formed():
    for subpolicies in SUBPOLICIES.values():
        assert len(subpolicies) == 25
        for subpolicy in subpolicies:
            assert len(subpolicy) == 2
            for name, probability, magnitude in subpolicy:
                assert name in AUTOAUGMENT and 0 <= probability <= 1 and magnitude in range(10)
    assert (("Brightness", 0.9, 6), ("Color", 0.2, 8)) in SUBPOLICIES["autoaugment_cifar10"]  # 6 in a copy on the web
