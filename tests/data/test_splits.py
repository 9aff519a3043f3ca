"""The choice of the splits."""

import numpy as np
import pytest
from sources import preprocess_params

from cct.data.arrays import DataError
from cct.data.splits import TEST, TRAIN, UNSTATED, UNUSED, VAL, assign_splits, stratified_split


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [100, 60, 40]))


@pytest.mark.parametrize(("fraction", "counts"), [(0.1, [10, 6, 4]), (0.26, [26, 16, 10]), (0.99, [99, 59, 39])])
def test_split_takes_the_fraction_of_each_class(labels, fraction, counts):
    if fraction == 0.99:  # 59.4 and 39.6: the second would be all of the 40
        labels = np.delete(labels, np.flatnonzero(labels == 2))
        counts = counts[:2]
    stays, chosen = stratified_split(labels, fraction, seed=0, remedy="add some")
    assert np.bincount(labels[chosen]).tolist() == counts
    assert sorted([*stays, *chosen]) == list(range(len(labels)))
    assert (np.diff(stays) > 0).all() and (np.diff(chosen) > 0).all()


def test_split_is_the_seeds(labels):
    first, again, other = (
        stratified_split(labels, 0.2, seed=seed, remedy="add some")[1].tolist() for seed in (1, 1, 2)
    )
    assert first == again != other


def test_split_is_shuffled(labels):
    """Not the last of each class, which is what the Keras example takes of the whole."""
    _, chosen = stratified_split(np.zeros(1000, int), 0.1, seed=0, remedy="add some")
    assert chosen.min() < 100 and chosen.max() > 900


@pytest.mark.parametrize(
    ("fraction", "names", "sentence"),
    [
        (
            0.99,
            None,
            r"^a fraction of 0.99 leaves nothing on one side of: label 2 \(40 of 40\). Each class needs at least one",
        ),
        (
            0.99,
            ["a", "b", "Äpfel"],
            r"on one side of: Äpfel \(40 of 40\)\. .* on both sides: add some",
        ),
    ],
)
def test_a_class_left_empty_is_refused(labels, fraction, names, sentence):
    with pytest.raises(DataError, match=sentence):
        stratified_split(labels, fraction, seed=0, remedy="add some", classes=names)


@pytest.mark.parametrize(
    ("counts", "advice"),
    [([40, 1], "add examples"), ([40, 40], "add examples, or choose another preprocess.validation_fraction")],
)
def test_another_fraction_is_advised_where_it_helps(counts, advice):
    labels = np.repeat([0, 1], counts)
    options = {"classes": ["a", "b"], "test_is_separate": True}
    with pytest.raises(DataError, match=f": {advice}$"):
        assign_splits(labels, np.full(len(labels), TRAIN), preprocess_params(validation_fraction=0.99), **options)


def test_a_small_share_takes_one_of_each_class(labels):
    assert np.bincount(labels[stratified_split(labels, 0.001, seed=0, remedy="add some")[1]]).tolist() == [1, 1, 1]


def test_groups_are_chosen_whole(labels):
    """Groups of five, of one class each or of several."""
    for groups in (np.arange(len(labels)) // 5, np.argsort(np.argsort(labels, kind="stable")) // 5):
        stays, chosen = stratified_split(labels, 0.2, seed=0, remedy="add some", groups=groups)
        assert not set(groups[stays]) & set(groups[chosen])
        assert sorted([*stays, *chosen]) == list(range(len(labels)))
        counts = np.bincount(labels[chosen])
        assert (np.abs(counts - [20, 12, 8]) <= 4).all(), counts  # within a group of the share


def test_a_class_of_one_group_is_refused():
    labels, groups = np.repeat([0, 1], 10), np.repeat([0, 1, 2], [5, 5, 10])
    with pytest.raises(DataError, match=r"one side of: cat \(10 of 10\)\. .* and a group stays on one side"):
        stratified_split(labels, 0.5, seed=0, remedy="add some", groups=groups, classes=["dog", "cat"])


def chosen_splits(labels, stated, **changes):
    return assign_splits(labels, stated, preprocess_params(**changes), classes=["a", "b", "c"])


def test_splits_that_the_source_has_not_are_chosen(labels):
    unstated = np.full(len(labels), UNSTATED)
    found = chosen_splits(labels, unstated, test_fraction=0.2, validation_fraction=0.25, train_fraction=0.5)
    counts = {split: np.bincount(labels[found == split]).tolist() for split in (TRAIN, VAL, TEST, UNUSED)}
    assert counts == {TRAIN: [30, 18, 12], VAL: [10, 6, 4], TEST: [20, 12, 8], UNUSED: [40, 24, 16]}
    stated = np.where(found == UNUSED, UNSTATED, found)
    np.testing.assert_array_equal(chosen_splits(labels, stated), np.where(stated == UNSTATED, TRAIN, stated))


@pytest.mark.parametrize("stated", [VAL, TEST])
def test_a_split_of_the_source_is_kept(labels, stated):
    given = np.where(np.arange(len(labels)) % 4 == 0, stated, UNSTATED)
    found = chosen_splits(labels, given)
    np.testing.assert_array_equal(found[given == stated], stated)
    assert stated not in found[given == UNSTATED]
    assert set(found) == {TRAIN, VAL, TEST}


def test_an_image_like_one_of_a_stated_split_does_not_leave_the_training_split(labels):
    """Every tenth is of the validation split, and the next one is its duplicate."""
    numbers = np.arange(len(labels))
    groups = np.where(numbers % 10 == 1, numbers - 1, numbers)
    stated = np.where(numbers % 10 == 0, VAL, UNSTATED)
    for seed in range(5):
        found = assign_splits(labels, stated, preprocess_params(seed=seed), classes=["a", "b", "c"], groups=groups)
        assert (found[numbers % 10 == 1] == TRAIN).all() and (found == TEST).sum() > 20
    with pytest.raises(DataError, match=r"each training example of a, b, c equals one of another split: remove these"):
        assign_splits(labels, stated, preprocess_params(), classes=["a", "b", "c"], groups=np.zeros(len(labels), int))


def test_shares_are_of_the_class_where_images_equal_ones_of_another_split():
    """Of 80 training images 40 are like the 40 of the test split."""
    labels, groups = np.repeat([0, 1], 120), np.tile(np.r_[np.arange(80), np.arange(40)], 2) + np.repeat([0, 80], 120)
    stated = np.tile(np.repeat([TRAIN, TEST], [80, 40]), 2)
    like_test = np.tile(np.arange(120) < 40, 2)
    likes = []
    for seed in range(5):
        options = preprocess_params(train_fraction=0.25, validation_fraction=0.2, seed=seed)
        found = assign_splits(labels, stated, options, classes=["a", "b"], groups=groups)
        assert [np.bincount(labels[found == split]).tolist() for split in (TRAIN, VAL, TEST)] == [
            [16] * 2,
            [4] * 2,
            [40] * 2,
        ]
        assert not like_test[found == VAL].any()
        likes.append(like_test[found == TRAIN].sum())
    assert 10 < np.mean(likes) < 30  # 20 of the 40 that are used
    found = assign_splits(
        labels, stated, preprocess_params(validation_fraction=0.25), classes=["a", "b"], groups=groups
    )
    assert np.bincount(labels[found == VAL]).tolist() == [20, 20] and not like_test[found == VAL].any()


def test_a_share_may_take_all_that_is_free():
    """Nine of ten images are like the test's, so the tenth is the whole validation split."""
    labels, groups = np.repeat([0, 1], 19), np.tile(np.r_[np.arange(10), np.arange(9)], 2) + np.repeat([0, 10], 19)
    stated = np.tile(np.repeat([TRAIN, TEST], [10, 9]), 2)
    found = assign_splits(labels, stated, preprocess_params(validation_fraction=0.5), classes=["a", "b"], groups=groups)
    assert np.flatnonzero(found == VAL).tolist() == [9, 28]


def test_a_share_may_take_all_of_a_small_class():
    labels = np.repeat([0, 1], [100, 8])
    options = {"classes": ["a", "b"], "test_is_separate": True}
    found = assign_splits(labels, np.full(108, TRAIN), preprocess_params(train_fraction=0.95), **options)
    assert np.bincount(labels[found == UNUSED], minlength=2).tolist() == [5, 0]


@pytest.mark.parametrize("only", [VAL, TEST])
def test_examples_of_one_other_split_are_refused(labels, only):
    with pytest.raises(DataError, match=r"^no training example of a, b, c: add some, or remove the classes$"):
        chosen_splits(labels, np.full(len(labels), only))


def test_a_class_without_training_examples_is_refused(labels):
    with pytest.raises(DataError, match=r"^no training example of b, c: add some, or remove the classes$"):
        chosen_splits(labels, np.where(labels == 0, TRAIN, TEST))
