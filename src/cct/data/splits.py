"""The choice of the training, validation and test examples."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from cct.data.arrays import DataError
from cct.data.params import PreprocessParams

# Splits. UNSTATED: the source does not say it. UNUSED: preprocess.train_fraction leaves it out.
UNSTATED, TRAIN, VAL, TEST, UNUSED = -1, 0, 1, 2, 3
SPLIT_CODES = {"train": TRAIN, "val": VAL, "test": TEST}


class Labelled(Protocol):
    """An example of a source: the name of its class, and its split where the source says it."""

    @property
    def label(self) -> str: ...

    @property
    def split(self) -> str | None: ...


class Labels(NamedTuple):
    """The labels and splits of items.

    Attributes:
        label_n: the index of each item's class.
        stated_n: the split of each item as the source says it. If it says any, items without one train.
    """

    label_n: np.ndarray
    stated_n: np.ndarray


def label_items(items: Sequence[Labelled], classes: Sequence[str]) -> Labels:
    """The labels and the stated splits of items, whose classes are all among `classes`."""
    index = {name: number for number, name in enumerate(classes)}
    label_n = np.array([index[item.label] for item in items], np.int64)
    stated_n = np.array([SPLIT_CODES.get(item.split, UNSTATED) for item in items], np.int64)
    if (stated_n != UNSTATED).any():
        stated_n[stated_n == UNSTATED] = TRAIN
    return Labels(label_n, stated_n)


def stratified_split(
    labels: np.ndarray,
    fraction: float,
    *,
    seed: int,
    remedy: str,
    other_remedy: str = "",
    classes: Sequence[str] | None = None,
    groups: np.ndarray | None = None,
    free_n: np.ndarray | None = None,
    may_take_all: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose `fraction` of each class at random.

    Args:
        labels: (n,).
        fraction: between 0 and 1; rounded to a whole number of examples in each class, at least one.
        seed: the seed of the choice.
        remedy: advice in the error about a class that would be empty.
        other_remedy: follows it, where another fraction would leave examples on both sides of every class.
        classes: the names of the classes, for the error.
        groups: (n,); examples of one group are all chosen or all not. None: each example alone.
        free_n: (n,); whether each example may be chosen. The others count for the share all the same. None: all may.
        may_take_all: whether no example of a class may be left.

    Returns:
        The indices of the other and of the chosen examples, both ascending.

    Raises:
        DataError: a class would be left empty on either side.
    """
    generator = np.random.default_rng(seed)
    members_of = {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}
    wanted = {label: max(1, round(len(members) * fraction)) for label, members in members_of.items()}
    free = np.arange(len(labels)) if free_n is None else np.flatnonzero(free_n)
    if alone := groups is None or len(np.unique(groups[free])) == len(free):
        parts = [generator.permutation(free[labels[free] == label])[:count] for label, count in wanted.items()]
        chosen = np.sort(np.concatenate(parts))
    else:
        chosen = free[_whole_groups(labels[free], groups[free], wanted, generator)]
    counts = np.bincount(labels[chosen], minlength=max(members_of) + 1)
    torn = [label for label, members in members_of.items() if not 0 < counts[label] < len(members) + may_take_all]
    if torn:
        named = [
            f"{classes[label] if classes else f'label {label}'} ({counts[label]} of {len(members_of[label])})"
            for label in torn
        ]
        if may_take_all or all(_parts(members_of[label], groups) > 1 for label in torn):
            remedy += other_remedy
        raise DataError(
            f"a fraction of {fraction} leaves nothing on one side of: {', '.join(named[:20])}. Each class needs at "
            f"least one example on both sides{'' if alone else ', and a group stays on one side'}: {remedy}"
        )
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def _parts(members: np.ndarray, groups: np.ndarray | None) -> int:
    """In how many parts the members of a class can be at the most."""
    return len(members if groups is None else np.unique(groups[members]))


def _whole_groups(
    labels: np.ndarray, groups: np.ndarray, wanted: dict[int, int], generator: np.random.Generator
) -> np.ndarray:
    """Choose groups in random order. One is taken if every class in it comes nearer to the wanted number."""
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    room, chosen, label_of = dict(wanted), [], labels.tolist()
    for index in generator.permutation(len(members)):
        counts = Counter(label_of[member] for member in members[index].tolist())
        if all(2 * room[label] >= count for label, count in counts.items()):
            chosen.append(members[index])
            for label, count in counts.items():
                room[label] -= count
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def assign_splits(
    labels: np.ndarray,
    stated: np.ndarray,
    preprocess: PreprocessParams,
    *,
    classes: Sequence[str],
    groups: np.ndarray | None = None,
    test_is_separate: bool = False,
) -> np.ndarray:
    """Choose the test and the validation split where the source has none, and the training examples that are used.

    Args:
        labels: (n,).
        stated: (n,); the split of each example as the source says it, or UNSTATED, which is training or a share of it.
        preprocess: the fractions and the seed of the choice.
        classes: the names of the classes.
        groups: (n,), as for `stratified_split`.
        test_is_separate: the test examples are not among these, so none are chosen.

    Returns:
        The split of each example (n,): TRAIN, VAL, TEST or UNUSED.

    Raises:
        DataError: a class has no training example, or would be left empty on one side.
    """
    split_n = np.where(stated == UNSTATED, TRAIN, stated)

    def choose(fraction: str, chosen: int, others: int = TRAIN) -> None:
        pool = np.flatnonzero(split_n == TRAIN)
        free_n = np.ones(len(pool), bool)
        if groups is not None and others == TRAIN:  # an image like one of another split does not leave training
            free_n = ~np.isin(groups[pool], groups[split_n != TRAIN])
        if held := sorted(set(labels[pool].tolist()) - set(labels[pool][free_n].tolist())):
            raise DataError(
                f"each training example of {', '.join(classes[label] for label in held[:20])} equals one of another "
                "split: remove these duplicates, or give the source all splits"
            )
        rest, share = stratified_split(
            labels[pool],
            getattr(preprocess, fraction),
            seed=preprocess.seed,
            remedy="add examples" + ", or raise preprocess.train_fraction" * bool((split_n == UNUSED).any()),
            other_remedy=f", or choose another preprocess.{fraction}",
            classes=classes,
            groups=None if groups is None else groups[pool],
            free_n=free_n,
            may_take_all=others == UNUSED,
        )
        split_n[pool[rest]], split_n[pool[share]] = others, chosen

    absent = np.flatnonzero(np.bincount(labels[split_n == TRAIN], minlength=len(classes)) == 0)
    if len(absent):
        raise DataError(
            f"no training example of {', '.join(classes[label] for label in absent[:20])}: add some, or remove the "
            f"class{'es' * (len(absent) > 1)}"
        )
    if not test_is_separate and not (split_n == TEST).any():
        choose("test_fraction", TEST)
    if preprocess.train_fraction < 1:
        choose("train_fraction", TRAIN, others=UNUSED)
    if not (split_n == VAL).any():
        choose("validation_fraction", VAL)
    return split_n
