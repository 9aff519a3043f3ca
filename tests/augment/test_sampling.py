"""Augmentation plans are sampled and applied."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from plans import ALL, ALONE, COUNT, array, arrays, changed, equal, near, plan_of, unlikely

from cct.augment import streams
from cct.augment.ops import PADDING_MODES
from cct.augment.sampling import AugmentPlan, apply_plan
from cct.augment.streams import CROP, FLIP, MIXED, ORDER, random_stream


@pytest.fixture
def images() -> np.ndarray:
    """Not square, so that rows and columns cannot be confused; no black, so that the border is seen."""
    return np.random.default_rng(0).integers(1, 256, (50, 5, 7, 3), dtype=np.uint8)


@pytest.fixture
def targets() -> np.ndarray:
    return np.eye(10, dtype=np.float32)[np.random.default_rng(1).integers(0, 10, 50)]


def slowly(images: np.ndarray, plan: AugmentPlan) -> np.ndarray:
    n, height, width, channels = images.shape
    out = np.zeros_like(images)
    for i in range(n):
        for y in range(height):
            for x in range(width):
                row, column = (0, 0) if array(plan, "shift_n2") is None else array(plan, "shift_n2")[i]
                row += y
                column += width - 1 - x if array(plan, "flip_n") is not None and array(plan, "flip_n")[i] else x
                if array(plan, "padding_mode") == "reflect":
                    row, column = mirrored(row, height), mirrored(column, width)
                if 0 <= row < height and 0 <= column < width:
                    for c in range(channels):
                        out[i, y, x, c] = images[i, row, column, c]
    return out


def mirrored(place: int, size: int) -> int:
    """0 1 2 3 2 1 0 1 ... for a size of 4. The pixel at the edge stands once."""
    place %= 2 * (size - 1)
    return min(place, 2 * (size - 1) - place)


@pytest.mark.parametrize("padding", [0, 1, 4, 9])
@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("flip", [False, True])
def test_crop_and_flip_are_as_a_plain_loop_does(images, targets, padding, mode, flip):
    chosen = {"crop_padding": padding, "crop_padding_mode": mode, "horizontal_flip": flip}
    plan = plan_of(**chosen, seed=1, epoch=2, shape=images.shape)
    assert flip == (array(plan, "flip_n") is not None and array(plan, "flip_n").any())
    result, same = apply_plan(images, targets, plan)
    np.testing.assert_array_equal(result, slowly(images, plan))
    np.testing.assert_array_equal(same, targets)


def test_nothing_on_changes_nothing(images, targets):
    plan = plan_of(shape=images.shape)
    assert plan == AugmentPlan({})
    for result, given in zip(apply_plan(images, targets, plan), (images, targets), strict=True):
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
    plan = plan_of(**changes, shape=shape)
    result, soft = apply_plan(images, targets, plan)
    assert (result.dtype, result.shape, result.flags.c_contiguous) == (np.uint8, shape, True)
    assert (soft.dtype, soft.shape) == (np.float32, targets.shape)
    np.testing.assert_array_equal(images, kept[0])
    np.testing.assert_array_equal(targets, kept[1])
    assert shape[0] == 1 or not np.array_equal(result, images)
    mapped, _ = apply_plan(np.load(tmp_path / "images.npy", mmap_mode="r"), targets, plan)
    assert type(mapped) is np.ndarray
    np.testing.assert_array_equal(mapped, result)


def test_each_image_has_its_own(images, targets):
    same = np.repeat(images[:1], 50, axis=0)
    for name, changes in ALONE.items():
        result, _ = apply_plan(same, targets, plan_of(**changes, shape=images.shape))
        # Flips have two outcomes, and mixing equal images one.
        least = {"flip": 2, "mixup_alpha": 1, "cutmix_alpha": 1}.get(name, 15)
        assert len({image.tobytes() for image in result}) >= least, name


def test_an_image_does_not_see_its_batch(images, targets):
    for name, changes in ALONE.items():
        if name in ("mixup_alpha", "cutmix_alpha"):
            continue
        plan = plan_of(**changes, seed=3, epoch=4, shape=images.shape)
        whole, _ = apply_plan(images, targets, plan)
        for chosen in (np.array([7]), np.array([49, 0, 13]), np.random.default_rng(0).permutation(50)):
            part, _ = apply_plan(images[chosen], targets[chosen], plan.take(chosen))
            np.testing.assert_array_equal(part, whole[chosen])


def test_mixing_sees_the_other_only(images, targets):
    plan = plan_of(mixup_alpha=0.8, cutmix_alpha=1.0, shape=images.shape)
    mixed, soft = apply_plan(images, targets, plan)
    pair = np.array([3, 46])
    part, shares = apply_plan(images[pair], targets[pair], plan.take(pair))
    np.testing.assert_array_equal(part, mixed[pair])
    np.testing.assert_array_equal(shares, soft[pair])


@pytest.mark.parametrize("changes", [*ALONE.values(), ALL], ids=[*ALONE, "all"])
def test_plans_follow_seed_and_epoch_only(changes):
    def again(seed: int, epoch: int) -> AugmentPlan:
        np.random.seed(seed + epoch)  # the global state must not matter
        return plan_of(**changes, seed=seed, epoch=epoch, shape=(100, 32, 32, 3))

    assert equal(again(1, 2), again(1, 2))
    others = [again(1, 2), again(2, 1), again(1, 3), again(0, 2)]
    assert arrays(others[0])
    for name in arrays(others[0]).keys() - {"padding_mode"}:  # which is not sampled
        assert len({array(plan, name).tobytes() for plan in others}) == 4


def test_two_processes_sample_and_do_the_same():
    """Also with another hash seed."""
    code = (
        "import sys, hashlib; sys.path.insert(0, sys.argv[1]); import test_sampling as t, numpy as np\n"
        "images = np.random.default_rng(0).integers(0, 256, (200, 16, 16, 3), dtype=np.uint8)\n"
        "result = t.apply_plan(images, np.eye(200, dtype=np.float32), t.plan_of(**t.ALL, shape=images.shape))\n"
        "print(hashlib.sha256(b''.join(array.tobytes() for array in result)).hexdigest())\n"
    )
    words = [sys.executable, "-c", code, str(Path(__file__).parent)]
    runs = [
        subprocess.run(words, env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}, capture_output=True)
        for seed in "12"
    ]
    assert runs[0].stdout == runs[1].stdout and len(runs[0].stdout) == 65, runs[0].stderr


def test_streams_are_apart():
    purposes = [value for name, value in vars(streams).items() if name.isupper() and isinstance(value, int)]
    assert len({random_stream(0, 0, purpose).integers(2**62) for purpose in purposes}) == len(purposes) >= 20
    assert (ORDER, CROP, FLIP) == (0, 1, 2)  # of runs from before the rest


@pytest.mark.parametrize("name", ["resized_crop", "flip", "randaugment", "random_erasing_prob"])
def test_switching_one_off_does_not_move_the_others(name):
    everything, rest = plan_of(**ALL), plan_of(**{key: value for key, value in ALL.items() if key not in ALONE[name]})
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
    plan = plan_of(crop_padding=padding, horizontal_flip=True)
    places = 2 * padding + 1
    row_n, column_n = array(plan, "shift_n2").T + padding
    counts = np.bincount((row_n * places + column_n) * 2 + array(plan, "flip_n"), minlength=2 * places**2)
    assert len(counts) == 2 * places**2
    assert not unlikely(counts, COUNT / len(counts))


def test_mixup_is_beta():
    weight_n = array(plan_of(mixup_alpha=0.8, mix_prob=0.75), "mixup_weight_n")
    assert weight_n.min() >= 0 and weight_n.max() == 256
    rest = weight_n[random_stream(0, 0, MIXED).random(COUNT) < 0.75] / 256
    assert near(weight_n < 256, 0.75 * (rest < 1).mean())
    assert abs(rest.mean() - 0.5) < 5 * np.sqrt(1 / (4 * 2.6) / len(rest))  # Beta(a, a) has variance 1 / (4 (2 a + 1))
    assert abs(rest.var() - 1 / (4 * 2.6)) < 0.005


@pytest.mark.parametrize(("probability", "switch"), [(1.0, 0.5), (0.6, 0.3), (1.0, 0.0), (1.0, 1.0), (0.0, 0.5)])
def test_an_image_is_mixed_one_way(probability, switch):
    plan = plan_of(
        mixup_alpha=1.0, cutmix_alpha=1.0, mix_prob=probability, mix_switch_prob=switch, shape=(COUNT, 500, 500, 3)
    )
    up_n, cut_n = array(plan, "mixup_weight_n") < 256, array(plan, "cutmix_box_n4")[:, 2] > 0
    assert not (up_n & cut_n).any()
    # One in 512 shares is rounded to the whole, and few boxes are below a pixel.
    assert abs(cut_n.mean() - probability * switch) < 0.03
    assert abs(up_n.mean() - probability * (1 - switch)) < 0.03


def test_mixing_ends():
    for epoch, on in enumerate([True, True, False, False]):
        plan = plan_of(**ALL, mix_epochs=2, epoch=epoch)
        assert (array(plan, "mixup_weight_n") is not None) == (array(plan, "cutmix_box_n4") is not None) == on
        assert equal(
            plan, changed(plan_of(**ALL, epoch=epoch), **{} if on else {"mixup_weight_n": None, "cutmix_box_n4": None})
        )
    assert array(plan_of(**ALL, mix_epochs=0), "mixup_weight_n") is None


def test_soft_targets_sum_to_one_and_are_smoothed_alike(images, targets):
    plan = plan_of(mixup_alpha=0.8, cutmix_alpha=1.0, shape=images.shape)
    _, soft = apply_plan(images, targets, plan)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=0, atol=1e-6)
    assert (soft >= 0).all() and (np.count_nonzero(soft, axis=1) == 2).any()

    def smooth(targets_nk: np.ndarray) -> np.ndarray:  # as Keras's loss does, after augmentation
        return (targets_nk * 0.9 + 0.1 / 10).astype(np.float32)

    _, smoothed_before = apply_plan(images, smooth(targets), plan)
    np.testing.assert_allclose(smooth(soft), smoothed_before, rtol=0, atol=1e-6)
