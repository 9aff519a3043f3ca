"""The functions for preprocessing, by task. To add a task, write its functions and an entry in `PREPARATION_TASKS`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cct.data.params import PreprocessParams
from cct.tasks.image_classification import preparation as images


class PreparationTask(NamedTuple):
    """The functions of a task that `preprocess` calls.

    Attributes:
        describe: the fields of meta.json about the training inputs.
        converter: from the shape of an input, as its source has it, to the function that changes a batch of inputs as
            the parameters say; None if nothing is to be changed.
    """

    describe: Callable[[np.ndarray], dict[str, Any]]
    converter: Callable[[tuple[int, ...], PreprocessParams], Callable[[np.ndarray], np.ndarray] | None]


PREPARATION_TASKS = {"image_classification": PreparationTask(images.describe, images.converter)}
