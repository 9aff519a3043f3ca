"""The choice of the training and the validation examples."""

import numpy as np
from pydantic import Field

from cct.data.arrays import DataError
from cct.params import Section


class PreprocessParams(Section):
    """Which examples train and which validate."""

    train_fraction: float = Field(
        gt=0,
        le=1,
        description="share of each class's training examples that is used; the test split stays whole",
    )
    validation_fraction: float = Field(
        gt=0, lt=1, description="share of each class's used examples that is held out for validation"
    )
    seed: int = Field(ge=0, lt=2**32, description="seed that chooses the examples of both shares")


def stratified_split(
    labels: np.ndarray,
    fraction: float,
    *,
    seed: int,
    remedy: str = "choose another preprocess.validation_fraction",
) -> tuple[np.ndarray, np.ndarray]:
    """Choose `fraction` of each class at random.

    Args:
        labels: (n,).
        fraction: between 0 and 1; rounded to a whole number of examples in each class.
        seed: the seed of the choice.
        remedy: advice in the error about a class that would be empty.

    Returns:
        The indices of the other and of the chosen examples, both ascending.

    Raises:
        DataError: a class would be left empty on either side.
    """
    generator = np.random.default_rng(seed)
    picked = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = round(len(members) * fraction)
        if not 0 < count < len(members):
            raise DataError(
                f"a fraction of {fraction} takes {count} of the {len(members)} examples with label {label}: "
                f"each class needs at least one on both sides; {remedy}"
            )
        picked.append(generator.permutation(members)[:count])
    chosen = np.sort(np.concatenate(picked))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def train_and_validation(labels: np.ndarray, preprocess: PreprocessParams) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training and the validation examples, ascending."""
    used = np.arange(len(labels))
    if preprocess.train_fraction < 1:
        remedy = "choose another preprocess.train_fraction"
        _, used = stratified_split(labels, preprocess.train_fraction, seed=preprocess.seed, remedy=remedy)
    train, val = stratified_split(labels[used], preprocess.validation_fraction, seed=preprocess.seed)
    return used[train], used[val]
