"""What training needs from a task. To add a task, write its functions and an entry in `TRAINING_TASKS`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras

from cct.augment.params import AugmentParams
from cct.models.architectures import ModelParams
from cct.tasks.image_classification import training as images
from cct.training.batches import Examples, Transform

Meta = Mapping[str, Any]  # the content of meta.json


class TrainingTask(NamedTuple):
    """The functions of a task that `train` calls.

    Attributes:
        describe: all that decides the model, as JSON values.
        memory: bytes that a training with batches of this size needs at the least.
        build: a model from a batch of inputs to logits.
        initialize: takes the weights of a model file over into a built model; returns what was not taken, in words.
        transforms: what changes the batches of an epoch (augmentation), by the number of the epoch.
    """

    describe: Callable[[ModelParams], dict[str, Any]]
    memory: Callable[[ModelParams, Meta, int], int]
    build: Callable[[ModelParams, Meta], keras.Model]
    initialize: Callable[[Path, keras.Model, ModelParams, Meta], str]
    transforms: Callable[[Examples, AugmentParams, int], Callable[[int], Transform]]


TRAINING_TASKS = {
    "image_classification": TrainingTask(
        images.describe, images.memory, images.build, images.initialize, images.transforms
    ),
}
