"""The functions for training, by task. To add a task, write its functions and an entry in `TRAINING_TASKS`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras

from cct.augment.params import AugmentParams
from cct.models.architectures import ModelParams
from cct.tasks.image_classification import training as images
from cct.tasks.text_classification import augmentation, transfer
from cct.tasks.text_classification import training as texts
from cct.training.batches import Examples, Transform

Meta = Mapping[str, Any]  # the content of meta.json


class TrainingTask(NamedTuple):
    """The functions of a task that `train` calls.

    Attributes:
        check: refuses parameters that do not fit the data, before any work.
        describe: everything that decides the model besides the data, as JSON values.
        memory: lower bound of a training's memory with batches of this size and `train.freeze`, in bytes.
        build: a model from a batch of inputs to logits. The folder has the processed data.
        initialize: copies the weights of a model file into a built model, by `params` and meta.json. It gets the folder
            of the processed data and `train.freeze` as `folder` and `freeze`. Returns a line about it.
        transforms: from the number of an epoch to the transform of its batches (augmentation).
        input_facts: how raw inputs become the model's, for the metadata of its file.
    """

    check: Callable[[ModelParams, AugmentParams, Meta], None]
    describe: Callable[[ModelParams, Meta], dict[str, Any]]
    memory: Callable[[ModelParams, Meta, int, str], int]
    build: Callable[[ModelParams, Meta, Path], keras.Model]
    initialize: Callable[..., str]
    transforms: Callable[[Examples, AugmentParams, int], Callable[[int], Transform]]
    input_facts: Callable[[Meta], dict[str, Any]]


TRAINING_TASKS = {
    "image_classification": TrainingTask(
        check=images.check,
        describe=images.describe,
        memory=images.memory,
        build=images.build,
        initialize=images.initialize,
        transforms=images.transforms,
        input_facts=images.input_facts,
    ),
    "text_classification": TrainingTask(
        check=texts.check,
        describe=texts.describe,
        memory=texts.memory,
        build=texts.build,
        initialize=transfer.initialize,
        transforms=augmentation.transforms,
        input_facts=texts.input_facts,
    ),
}
