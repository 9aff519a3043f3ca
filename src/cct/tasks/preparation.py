"""The functions for preprocessing, by task. To add a task, write its functions and an entry in `PREPARATION_TASKS`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cct.data.params import PreprocessParams
from cct.data.prepare import Prepared
from cct.data.sources import LocalSource, Source
from cct.tasks.image_classification import preparation as images
from cct.tasks.text_classification import preparation as texts


class PreparationTask(NamedTuple):
    """The functions of a task that `preprocess` calls.

    Attributes:
        prepare: from a source, the parameters and the folder of its files to its examples, while a context is open.
        describe: the fields of meta.json about the training inputs.
        converter: from the shape of an input, as its source has it, to the function that changes a batch of inputs as
            the parameters say; None if nothing is to be changed.
    """

    prepare: Callable[[Source | LocalSource, PreprocessParams, Path], AbstractContextManager[Prepared]]
    describe: Callable[[np.ndarray], dict[str, Any]]
    converter: Callable[[tuple[int, ...], PreprocessParams], Callable[[np.ndarray], np.ndarray] | None]


PREPARATION_TASKS = {
    "image_classification": PreparationTask(images.prepare, images.describe, images.converter),
    "text_classification": PreparationTask(texts.prepare, texts.describe, texts.converter),
}
