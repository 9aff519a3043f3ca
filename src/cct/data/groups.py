"""Groups of equal examples, which stay in one split."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cct.data.splits import UNUSED, Labelled

log = logging.getLogger(__name__)

MAX_EXAMPLES = 20  # groups in meta.json


def connected_groups(pairs: np.ndarray, count: int) -> tuple[int, np.ndarray]:
    """The number of connected groups of `count` examples, and the group of each (count,).

    Groups are numbered in the order of their first examples.

    Args:
        pairs: (2, p), examples that belong together.
        count: the number of examples.
    """
    ones = np.ones(pairs.shape[1], np.int8)
    groups, group_n = connected_components(coo_array((ones, tuple(pairs)), shape=(count, count)), directed=False)
    return groups, group_n


def merge_named(group_n: np.ndarray, names: Sequence[str | None]) -> np.ndarray:
    """The number of each example's group (n,) where examples with one name, which is not empty, also belong together.

    Args:
        group_n: (n,), a number of each group, 0 or more.
        names: (n,).
    """
    if not any(names):
        return group_n
    _, first, place_n = np.unique(group_n, return_index=True, return_inverse=True)
    together = np.stack([np.arange(len(group_n)), first[place_n]])
    first_named: dict[str, int] = {}
    named = [(row, first_named.setdefault(name, row)) for row, name in enumerate(names) if name]
    return connected_groups(np.concatenate([together, np.array(named, np.int64).T], axis=1), len(names))[1]


def groups_of_several(group_n: np.ndarray) -> list[np.ndarray]:
    """The examples of each group of two or more, in their order.

    Args:
        group_n: (n,), a number of each group, 0 or more.
    """
    in_group = np.flatnonzero(np.bincount(group_n)[group_n] > 1)
    order = in_group[np.argsort(group_n[in_group], kind="stable")]
    parts = np.split(order, np.flatnonzero(np.diff(group_n[order])) + 1)
    return sorted((part for part in parts if len(part)), key=lambda part: part[0])


class Misplaced(NamedTuple):
    """Groups of duplicates that are worth a look.

    Attributes:
        leaks: those in several splits, as a source has them.
        conflicts: those in several classes. No model can be right on all of such a group.
    """

    leaks: list[np.ndarray]
    conflicts: list[np.ndarray]

    def facts(self, example: Callable[[np.ndarray], Any]) -> dict[str, Any]:
        """Facts for meta.json.

        Args:
            example: a JSON value that shows a group.
        """
        return {
            "groups_in_several_splits": len(self.leaks),
            "groups_in_several_classes": len(self.conflicts),
            "examples": [example(group) for group in [*self.leaks, *self.conflicts][:MAX_EXAMPLES]],
        }


def misplaced_groups(
    groups: Sequence[np.ndarray],
    items: Sequence[Labelled],
    split_n: np.ndarray,
    *,
    what: str,
    shown: Callable[[np.ndarray], str],
) -> Misplaced:
    """Groups in more than one split, as a source has them, and those in more than one class. Both are warned of.

    Args:
        groups: places of items.
        items: all items.
        split_n: the split of each.
        what: a noun for the items of a group, in the plural.
        shown: a text for a group, as an example.
    """
    leaks = [group for group in groups if len({int(split_n[place]) for place in group} - {UNUSED}) > 1]
    conflicts = [group for group in groups if len({items[place].label for place in group}) > 1]
    for found, where in (
        (leaks, "in more than one split, as the source has them, so that scores on them are too high"),
        (conflicts, "in more than one class"),
    ):
        if found:
            log.warning("groups of %s %s: %s (%s)", what, where, f"{len(found):,}", shown(found[0]))
    return Misplaced(leaks, conflicts)
