import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from runs import OFF

from cct.augment import ops, policy_ops
from cct.augment.params import AugmentParams
from cct.augment.policies import AUTOAUGMENT, RANDAUGMENT, SUBPOLICIES
from cct.augment.preview import enabled_augmentations, preview_images
from cct.augment.sampling import AugmentPlan, apply_plan, sample_plan
from cct.augment.streams import CROP, CUTMIX_PLACE, FLIP, MIXED, ORDER, random_stream

COUNT = 9000
SHAPE = (COUNT, 32, 32, 3)
# Each thing that can be on, by itself, and all that can be on at once.
ALONE = {
    "crop": {"crop_padding": 4},
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


def drawn(*, seed: int = 0, epoch: int = 0, shape: tuple[int, ...] = SHAPE, **changes) -> AugmentPlan:
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


@pytest.fixture
def images() -> np.ndarray:
    """Not square, so that rows and columns cannot be confused; no black, so that the border is seen."""
    return np.random.default_rng(0).integers(1, 256, (50, 5, 7, 3), dtype=np.uint8)


@pytest.fixture
def targets() -> np.ndarray:
    return np.eye(10, dtype=np.float32)[np.random.default_rng(1).integers(0, 10, 50)]


def slowly(images: np.ndarray, draws: AugmentPlan) -> np.ndarray:
    n, height, width, channels = images.shape
    out = np.zeros_like(images)
    for i in range(n):
        for y in range(height):
            for x in range(width):
                row, column = (0, 0) if array(draws, "shift_n2") is None else array(draws, "shift_n2")[i]
                row += y
                column += width - 1 - x if array(draws, "flip_n") is not None and array(draws, "flip_n")[i] else x
                if 0 <= row < height and 0 <= column < width:
                    for c in range(channels):
                        out[i, y, x, c] = images[i, row, column, c]
    return out


@pytest.mark.parametrize("padding", [0, 1, 4, 9])
@pytest.mark.parametrize("flip", [False, True])
def test_crop_and_flip_are_as_a_plain_loop_does(images, targets, padding, flip):
    draws = drawn(crop_padding=padding, horizontal_flip=flip, seed=1, epoch=2, shape=images.shape)
    assert flip == (array(draws, "flip_n") is not None and array(draws, "flip_n").any())
    result, same = apply_plan(images, targets, draws)
    np.testing.assert_array_equal(result, slowly(images, draws))
    np.testing.assert_array_equal(same, targets)


def test_nothing_on_changes_nothing(images, targets):
    draws = drawn(shape=images.shape)
    assert draws == AugmentPlan({})
    for result, given in zip(apply_plan(images, targets, draws), (images, targets), strict=True):
        np.testing.assert_array_equal(result, given)


def test_a_flip_is_left_to_right():
    images = np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1)
    flipped, _ = apply_plan(images, np.eye(1), AugmentPlan({"flip": {"flip_n": np.array([True])}}))
    assert flipped[0, :, :, 0].tolist() == [[2, 1, 0], [5, 4, 3]]


@pytest.mark.parametrize("changes", [*ALONE.values(), ALL], ids=[*ALONE, "all"])
@pytest.mark.parametrize("shape", [(50, 5, 7, 3), (50, 8, 8, 1), (1, 32, 32, 3)])
def test_results_are_images_and_inputs_stay(changes, shape, tmp_path):
    images = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    targets = np.eye(shape[0], 10, dtype=np.float32)
    kept = images.copy(), targets.copy()
    draws = drawn(**changes, shape=shape)
    result, soft = apply_plan(images, targets, draws)
    assert (result.dtype, result.shape, result.flags.c_contiguous) == (np.uint8, shape, True)
    assert (soft.dtype, soft.shape) == (np.float32, targets.shape)
    np.testing.assert_array_equal(images, kept[0])
    np.testing.assert_array_equal(targets, kept[1])
    assert shape[0] == 1 or not np.array_equal(result, images)
    mapped, _ = apply_plan(np.load(tmp_path / "images.npy", mmap_mode="r"), targets, draws)
    assert type(mapped) is np.ndarray
    np.testing.assert_array_equal(mapped, result)


def test_each_image_has_its_own(images, targets):
    same = np.repeat(images[:1], 50, axis=0)
    for name, changes in ALONE.items():
        result, _ = apply_plan(same, targets, drawn(**changes, shape=images.shape))
        # Flips have two outcomes, and mixing equal images one.
        least = {"flip": 2, "mixup_alpha": 1, "cutmix_alpha": 1}.get(name, 15)
        assert len({image.tobytes() for image in result}) >= least, name


def test_a_image_does_not_see_its_batch(images, targets):
    for name, changes in ALONE.items():
        if name in ("mixup_alpha", "cutmix_alpha"):
            continue
        draws = drawn(**changes, seed=3, epoch=4, shape=images.shape)
        whole, _ = apply_plan(images, targets, draws)
        for chosen in (np.array([7]), np.array([49, 0, 13]), np.random.default_rng(0).permutation(50)):
            part, _ = apply_plan(images[chosen], targets[chosen], draws.take(chosen))
            np.testing.assert_array_equal(part, whole[chosen])


def test_mixing_sees_the_other_only(images, targets):
    draws = drawn(mixup_alpha=0.8, cutmix_alpha=1.0, shape=images.shape)
    mixed, soft = apply_plan(images, targets, draws)
    pair = np.array([3, 46])
    part, shares = apply_plan(images[pair], targets[pair], draws.take(pair))
    np.testing.assert_array_equal(part, mixed[pair])
    np.testing.assert_array_equal(shares, soft[pair])


@pytest.mark.parametrize("changes", [*ALONE.values(), ALL], ids=[*ALONE, "all"])
def test_draws_follow_seed_and_epoch_only(changes):
    def again(seed: int, epoch: int) -> AugmentPlan:
        np.random.seed(seed + epoch)  # the global state must not matter
        return drawn(**changes, seed=seed, epoch=epoch, shape=(100, 32, 32, 3))

    assert equal(again(1, 2), again(1, 2))
    others = [again(1, 2), again(2, 1), again(1, 3), again(0, 2)]
    assert arrays(others[0])
    for name in arrays(others[0]):
        assert len({array(plan, name).tobytes() for plan in others}) == 4


def test_two_processes_draw_and_do_the_same():
    """Also with another hash seed."""
    code = (
        "import sys, hashlib; sys.path.insert(0, sys.argv[1]); import test_sampling as t, numpy as np\n"
        "images = np.random.default_rng(0).integers(0, 256, (200, 16, 16, 3), dtype=np.uint8)\n"
        "result = t.apply_plan(images, np.eye(200, dtype=np.float32), t.drawn(**t.ALL, shape=images.shape))\n"
        "print(hashlib.sha256(b''.join(array.tobytes() for array in result)).hexdigest())\n"
    )
    words = [sys.executable, "-c", code, str(Path(__file__).parent)]
    runs = [
        subprocess.run(words, env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}, capture_output=True)
        for seed in "12"
    ]
    assert runs[0].stdout == runs[1].stdout and len(runs[0].stdout) == 65, runs[0].stderr


def test_streams_are_apart():
    purposes = range(CUTMIX_PLACE + 1)
    assert len({random_stream(0, 0, purpose).integers(2**62) for purpose in purposes}) == len(purposes) == 20
    assert (ORDER, CROP, FLIP) == (0, 1, 2)  # of runs from before the rest


@pytest.mark.parametrize("name", ["resized_crop", "flip", "randaugment", "random_erasing_prob"])
def test_switching_one_off_does_not_move_the_others(name):
    everything, rest = drawn(**ALL), drawn(**{key: value for key, value in ALL.items() if key not in ALONE[name]})
    gone = arrays(everything).keys() - arrays(rest).keys()
    fields = {
        "resized_crop": {"box_n4"},
        "flip": {"flip_n"},
        "randaugment": {"operation_nl", "argument_nl"},
        "random_erasing_prob": {"hole_n4", "start_n", "noise"},
    }
    assert gone == fields[name]
    assert equal(rest, changed(everything, **dict.fromkeys(fields[name])))


@pytest.mark.parametrize("padding", [1, 4])
def test_every_place_is_equally_likely(padding):
    draws = drawn(crop_padding=padding, horizontal_flip=True)
    places = 2 * padding + 1
    row_n, column_n = array(draws, "shift_n2").T + padding
    counts = np.bincount((row_n * places + column_n) * 2 + array(draws, "flip_n"), minlength=2 * places**2)
    assert len(counts) == 2 * places**2
    assert not unlikely(counts, COUNT / len(counts))


def test_resized_crops_have_the_area_and_aspect_of_torchvision():
    """Of an image so large that rounding is no matter, and a smallest area so small that nearly all fit at once."""
    boxes_n4 = array(drawn(resized_crop=0.08, shape=(COUNT, 1000, 1000, 3)), "box_n4")
    top_n, left_n, rows_n, columns_n = boxes_n4.T
    assert (boxes_n4[:, 2:] >= 1).all() and (boxes_n4[:, :2] >= 0).all()
    assert (top_n + rows_n <= 1000).all() and (left_n + columns_n <= 1000).all()
    area_n, aspect_n = rows_n * columns_n / 1e6, columns_n / rows_n
    assert 0.079 < area_n.min() < 0.081 and aspect_n.min() > 0.74 and aspect_n.max() < 1.35
    small = area_n < 0.7  # whatever the aspect, these fit
    assert not unlikely(np.histogram(area_n[small], 20, (0.08, 0.7))[0], small.sum() / 20)
    log_n = np.log(aspect_n[small]) / np.log(4 / 3)
    assert not unlikely(np.histogram(log_n, 20, (-1, 1))[0], small.sum() / 20)
    place_n = (top_n + 0.5) / (1001 - rows_n)
    assert not unlikely(np.histogram(place_n, 20, (0, 1))[0], COUNT / 20)


@pytest.mark.parametrize(
    ("height", "width", "middle"),
    [(32, 32, [0, 0, 32, 32]), (100, 30, [30, 0, 40, 30]), (30, 100, [0, 30, 30, 40]), (30, 39, [0, 0, 30, 39])],
)
def test_what_never_fits_is_cropped_in_the_middle(height, width, middle):
    """The whole area at an aspect other than the image's: only the fallback is left."""
    boxes_n4 = array(drawn(resized_crop=1.0, shape=(3000, height, width, 3)), "box_n4")
    found = Counter(map(tuple, boxes_n4.tolist()))
    assert found[tuple(middle)] / 3000 > (0.5 if height == width else 0.3)
    if not 3 / 4 <= width / height <= 4 / 3:
        assert [*found] == [tuple(middle)]


def test_randaugment_is_timms():
    draws = drawn(policy="randaugment", randaugment_num_ops=3)
    assert array(draws, "operation_nl").shape == array(draws, "argument_nl").shape == (COUNT, 3)
    assert RANDAUGMENT.keys() == {*policy_ops.OPERATIONS} and len(RANDAUGMENT) == 15
    assert near(array(draws, "operation_nl") >= 0, 0.5)
    for operation_n in array(draws, "operation_nl").T:
        counts = np.bincount(operation_n[operation_n >= 0], minlength=15)
        assert not unlikely(counts, counts.sum() / 15)
    pairs = [one * 15 + other for one, other in array(draws, "operation_nl")[:, :2].tolist() if min(one, other) >= 0]
    assert not unlikely(np.bincount(pairs, minlength=225), len(pairs) / 225)  # one layer knows nothing of the other


def at(name: str, magnitude: float, *, noise: float = 0.0) -> np.ndarray:
    """RandAugment's arguments of one operation."""
    draws = drawn(
        policy="randaugment", randaugment_magnitude=magnitude, randaugment_magnitude_std=noise, randaugment_prob=1.0
    )
    return array(draws, "argument_nl")[array(draws, "operation_nl") == policy_ops.OPERATIONS.index(name)]


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
    """Of every pair that can be drawn, how often it is; and every argument and sign."""
    count = 200_000
    draws = drawn(policy=policy, shape=(count, 32, 32, 3))
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
    found = Counter(map(tuple, array(draws, "operation_nl").tolist()))
    possible = [pair for pair, share in expected.items() if share > 0]
    assert found.keys() <= {*possible}
    counts, shares = (np.array([counter[pair] for pair in possible]) for counter in (found, expected))
    assert not unlikely(counts, count * shares)
    for layer, by_name in enumerate(arguments):
        for name, values in by_name.items():
            drawn_m = array(draws, "argument_nl")[
                array(draws, "operation_nl")[:, layer] == policy_ops.OPERATIONS.index(name), layer
            ]
            values = {*values, *(-value for value in values)} if name in TURNED else values
            np.testing.assert_allclose(np.unique(drawn_m.round(12)), sorted(values), rtol=0, atol=1e-9)
            assert name not in TURNED or near(drawn_m > 0, 0.5)


def test_subpolicies_are_well_formed():
    for subpolicies in SUBPOLICIES.values():
        assert len(subpolicies) == 25
        for subpolicy in subpolicies:
            assert len(subpolicy) == 2
            for name, probability, magnitude in subpolicy:
                assert name in AUTOAUGMENT and 0 <= probability <= 1 and magnitude in range(10)
    assert (("Brightness", 0.9, 6), ("Color", 0.2, 8)) in SUBPOLICIES["autoaugment_cifar10"]  # 6 in a copy on the web


def test_erasing_is_timms():
    holes_n4 = array(drawn(random_erasing_prob=0.25, shape=(4 * COUNT, 300, 300, 3)), "hole_n4")
    assert near(holes_n4[:, 2] > 0, 0.25)
    assert not holes_n4[holes_n4[:, 2] == 0].any()
    top_n, left_n, rows_n, columns_n = holes_n4[holes_n4[:, 2] > 0].T
    assert (top_n + rows_n <= 300).all() and (left_n + columns_n <= 300).all()
    area_n, aspect_n = rows_n * columns_n / 9e4, columns_n / rows_n
    assert area_n.min() > 0.019 and area_n.max() < 0.335 and aspect_n.min() > 0.29 and aspect_n.max() < 3.4
    small = area_n < 0.29  # whatever the aspect, these fit
    assert not unlikely(np.histogram(area_n[small], 15, (0.02, 0.29))[0], small.sum() / 15)
    log_n = np.log(aspect_n[small]) / np.log(1 / 0.3)
    assert not unlikely(np.histogram(log_n, 15, (-1, 1))[0], small.sum() / 15)


def test_noise_is_uniform_and_each_images_own():
    images = np.zeros((200, 32, 32, 3), np.uint8)
    draws = drawn(random_erasing_prob=1.0, shape=images.shape)
    erased, _ = apply_plan(images, np.eye(200), draws)
    inside = ops.inside(array(draws, "hole_n4"), 32, 32)
    assert not erased[~inside].any()
    values = erased[inside]
    assert not unlikely(np.bincount(values.ravel(), minlength=256), values.size / 256)
    assert abs(np.corrcoef(values.astype(float).T)[0, 1]) < 5 / np.sqrt(len(values))  # channels apart
    assert len({*array(draws, "start_n").tolist()}) > 190
    other, _ = apply_plan(
        images,
        np.eye(200),
        changed(drawn(random_erasing_prob=1.0, shape=images.shape, epoch=1), hole_n4=array(draws, "hole_n4")),
    )
    assert not np.array_equal(other, erased)


def test_mixup_is_beta():
    weight_n = array(drawn(mixup_alpha=0.8, mix_prob=0.75), "mixup_weight_n")
    assert weight_n.min() >= 0 and weight_n.max() == 256
    rest = weight_n[random_stream(0, 0, MIXED).random(COUNT) < 0.75] / 256
    assert near(weight_n < 256, 0.75 * (rest < 1).mean())
    assert abs(rest.mean() - 0.5) < 5 * np.sqrt(1 / (4 * 2.6) / len(rest))  # Beta(a, a) has variance 1 / (4 (2 a + 1))
    assert abs(rest.var() - 1 / (4 * 2.6)) < 0.005


def test_cutmix_is_the_papers():
    """Alpha 1: areas are uniform before they are cut off at the border."""
    boxes_n4 = array(drawn(cutmix_alpha=1.0, shape=(COUNT, 500, 500, 3)), "cutmix_box_n4")
    top_n, left_n, rows_n, columns_n = boxes_n4.T
    assert (boxes_n4 >= 0).all() and (top_n + rows_n <= 500).all() and (left_n + columns_n <= 500).all()
    free = (top_n > 0) & (left_n > 0) & (top_n + rows_n < 500) & (left_n + columns_n < 500)
    np.testing.assert_array_equal(rows_n[free], columns_n[free])
    # A box of area s^2 is whole with probability (1 - s)^2: over uniform areas 1/6, and the mean area is then 1/5.
    assert near(free & (rows_n > 0), 1 / 6)
    # The middles are uniform, where a small box cannot but be whole.
    small = (rows_n > 0) & (rows_n < 100) & (columns_n < 100) & (top_n > 0) & (left_n > 0)
    for middle_n in (top_n + rows_n / 2, left_n + columns_n / 2):
        inside = small & (middle_n > 50) & (middle_n < 450)
        assert not unlikely(np.histogram(middle_n[inside], 16, (50, 450))[0], inside.sum() / 16)
    area_m = rows_n[free] * columns_n[free] / 25e4
    assert abs(area_m.mean() - 1 / 5) < 5 * area_m.std() / np.sqrt(len(area_m))


@pytest.mark.parametrize(("probability", "switch"), [(1.0, 0.5), (0.6, 0.3), (1.0, 0.0), (1.0, 1.0), (0.0, 0.5)])
def test_a_image_is_mixed_one_way(probability, switch):
    draws = drawn(
        mixup_alpha=1.0, cutmix_alpha=1.0, mix_prob=probability, mix_switch_prob=switch, shape=(COUNT, 500, 500, 3)
    )
    up_n, cut_n = array(draws, "mixup_weight_n") < 256, array(draws, "cutmix_box_n4")[:, 2] > 0
    assert not (up_n & cut_n).any()
    # One in 512 shares is rounded to the whole, and few boxes are below a pixel.
    assert abs(cut_n.mean() - probability * switch) < 0.03
    assert abs(up_n.mean() - probability * (1 - switch)) < 0.03


def test_mixing_ends():
    for epoch, on in enumerate([True, True, False, False]):
        draws = drawn(**ALL, mix_epochs=2, epoch=epoch)
        assert (array(draws, "mixup_weight_n") is not None) == (array(draws, "cutmix_box_n4") is not None) == on
        assert equal(
            draws, changed(drawn(**ALL, epoch=epoch), **{} if on else {"mixup_weight_n": None, "cutmix_box_n4": None})
        )
    assert array(drawn(**ALL, mix_epochs=0), "mixup_weight_n") is None


def test_soft_targets_sum_to_one_and_are_smoothed_alike(images, targets):
    draws = drawn(mixup_alpha=0.8, cutmix_alpha=1.0, shape=images.shape)
    _, soft = apply_plan(images, targets, draws)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=0, atol=1e-6)
    assert (soft >= 0).all() and (np.count_nonzero(soft, axis=1) == 2).any()

    def smooth(targets_nk: np.ndarray) -> np.ndarray:  # as Keras's loss does, after augmentation
        return (targets_nk * 0.9 + 0.1 / 10).astype(np.float32)

    _, smoothed_before = apply_plan(images, smooth(targets), draws)
    np.testing.assert_allclose(smooth(soft), smoothed_before, rtol=0, atol=1e-6)


def test_switched_on_names_what_is():
    assert enabled_augmentations(params()) == []
    everything = params(**ALL)
    assert enabled_augmentations(everything) == [
        "resized crop",
        "flip",
        "RandAugment",
        "random erasing",
        "MixUp",
        "CutMix",
    ]
    for changes, mixing in (
        ({"mix_epochs": 0}, []),
        ({"mix_prob": 0.0}, []),
        ({"mix_switch_prob": 0.0}, ["MixUp"]),
        ({"mix_switch_prob": 1.0}, ["CutMix"]),
        ({"mix_switch_prob": 0.0, "mixup_alpha": 0.0}, ["CutMix"]),  # a switch is for two
    ):
        assert enabled_augmentations(params(**ALL | changes))[4:] == mixing
    names = [enabled_augmentations(params(**changes)) for changes in ALONE.values()]
    assert all(len(name) == 1 for name in names) and len({name for (name,) in names}) == len(ALONE)


@pytest.mark.parametrize(("classes", "columns"), [(2, 2), (3, 2), (8, 8), (10, 8)])
@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3)])
def test_examples_have_a_row_for_each_kind(classes, columns, shape):
    rng = np.random.default_rng(3)
    images, labels = rng.integers(0, 256, (100, *shape), dtype=np.uint8), np.arange(100) % classes
    rows = preview_images(images, labels, params(crop_padding=2, horizontal_flip=True))
    assert len(rows) == 11 and all(row.shape == (columns, *shape) and row.dtype == np.uint8 for row in rows.values())
    np.testing.assert_array_equal(rows["original"], images[:columns])
    both = apply_plan(rows["crop (padding 2)"], np.eye(columns), drawn(horizontal_flip=True, shape=(columns, *shape)))
    np.testing.assert_array_equal(rows["as in params.yaml"], both[0])
    assert all(name == "original" or not np.array_equal(row, rows["original"]) for name, row in rows.items())
    strong = preview_images(images, labels, params(**ALL, mix_epochs=0, mix_prob=0.0))
    assert {"resized crop (from 0.3)", "RandAugment (2, 9)", "MixUp (alpha 0.8)", "CutMix (alpha 1)"} < strong.keys()
    np.testing.assert_array_equal(strong["MixUp (alpha 0.8)"], rows["MixUp (alpha 0.8)"])
