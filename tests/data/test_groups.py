"""Groups of equal examples."""

import itertools

import numpy as np
import pytest

from cct.data.groups import connected_groups, groups_of_several, merge_named, misplaced_groups
from cct.data.listing import Item
from cct.data.splits import TEST, TRAIN, UNUSED


def test_connected_examples_are_one_group_numbered_by_its_first():
    count, group_n = connected_groups(np.array([[4, 1, 2], [1, 3, 2]]), 5)
    assert count == 3 and group_n.tolist() == [0, 1, 2, 1, 1]


@pytest.mark.parametrize("numbers", [[0, 1, 2, 1, 3, 4], [7, 1, 9, 1, 3, 5]], ids=["in order", "others"])
def test_a_name_joins_groups_of_any_numbers(numbers):
    """The name "a" joins the third example to the group of two, and "b" joins nothing."""
    merged = merge_named(np.array(numbers), ["", "a", "a", None, "b", ""])
    assert merged.tolist() == [0, 1, 1, 1, 2, 3]


def test_without_names_groups_keep_their_numbers():
    group_n = np.array([5, 0, 5])
    assert merge_named(group_n, ["", None, ""]) is group_n


def test_groups_of_several_are_ordered_by_their_first_example():
    found = groups_of_several(np.array([9, 4, 0, 4, 9, 7, 9]))
    assert [group.tolist() for group in found] == [[0, 4, 6], [1, 3]]
    assert groups_of_several(np.array([2, 0, 1])) == []


def test_merging_is_the_smallest_relation_with_both():
    """Against the definition, for all groups and names of four examples."""
    for numbers in itertools.product(range(3), repeat=4):
        for names in itertools.product(("", "a", "b"), repeat=4):
            joined = np.array(
                [
                    [i == j or numbers[i] == numbers[j] or bool(names[i] and names[i] == names[j]) for j in range(4)]
                    for i in range(4)
                ]
            )
            expected = np.linalg.matrix_power(joined.astype(int), 4) > 0
            merged = merge_named(np.array(numbers), names)
            np.testing.assert_array_equal(merged[:, None] == merged[None, :], expected)


def test_misplaced_groups_are_in_several_splits_or_classes():
    """A group whose other examples are unused is in one split."""
    items = [Item(str(place), label) for place, label in enumerate("xxxyxxxx")]
    split_n = np.array([TRAIN, TEST, TRAIN, TRAIN, TRAIN, UNUSED, TEST, TEST])
    groups = [np.array(group) for group in ([0, 1], [2, 3], [4, 5], [6, 7])]
    found = misplaced_groups(groups, items, split_n, what="files", shown=str)
    assert [group.tolist() for group in found.leaks] == [[0, 1]]
    assert [group.tolist() for group in found.conflicts] == [[2, 3]]
    assert found.facts(lambda group: items[group[0]].name) == {
        "groups_in_several_splits": 1,
        "groups_in_several_classes": 1,
        "examples": ["0", "2"],
    }
