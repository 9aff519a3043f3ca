"""Image classification: the model, and augmentation as the transform of batches."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cct.augment.params import AugmentParams
from cct.augment.sampling import apply_plan, sample_plan
from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.build import build_model
from cct.models.cost import training_memory
from cct.models.metadata import read_metadata
from cct.models.saving import load_model
from cct.models.transfer import initialize_from
from cct.tasks.image_classification.checks import require_image_augmentation
from cct.training.batches import Examples, Transform
from cct.training.parts import FREEZE


def check(params: ModelParams, augment: AugmentParams, meta: Mapping[str, Any]) -> None:
    """Refuse parameters that do not fit images, before any work.

    Raises:
        CCTError: the model takes texts, or an augmentation changes texts.
    """
    resolve_architecture(params)
    require_image_augmentation(augment)


def describe(params: ModelParams, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that decides the model, as JSON values."""
    return resolve_architecture(params).model_dump()


def memory(params: ModelParams, meta: Mapping[str, Any], batch_size: int, freeze: str = "none") -> int:
    """Lower bound of a training's memory, in bytes."""
    height, width, channels = meta["image_shape"]
    size = {"height": height, "width": width, "channels": channels, "classes": len(meta["classes"])}
    architecture = resolve_architecture(params)
    frozen_depths = FREEZE[freeze](architecture.num_layers)
    in_parts = keras.backend.backend() == "tensorflow"
    return training_memory(architecture, **size, batch_size=batch_size, frozen_depths=frozen_depths, in_parts=in_parts)


def build(params: ModelParams, meta: Mapping[str, Any], folder: Path | None = None) -> keras.Model:
    """A model from raw uint8 images of the data's shape to one logit per class."""
    return build_model(
        resolve_architecture(params),
        image_shape=tuple(meta["image_shape"]),
        classes=len(meta["classes"]),
        mean=meta["mean"],
        std=meta["std"],
    )


def input_facts(meta: Mapping[str, Any]) -> dict[str, Any]:
    """How raw images become the model's, for its metadata."""
    return {"shape": meta["image_shape"], "resize": meta["resize"], "background": meta["background"]}


def initialize(
    path: Path,
    model: keras.Model,
    params: ModelParams,
    meta: Mapping[str, Any],
    *,
    folder: Path | None = None,
    freeze: str = "none",
) -> str:
    """Copy the weights of a model file into `model`. Returns a text about what was copied, fitted and left out.

    Neither the folder of the data nor `train.freeze` changes it.
    """
    return initialize_from(
        load_model(path),
        model,
        resolve_architecture(params),
        image_shape=tuple(meta["image_shape"]),
        source_classes=read_metadata(path).get("classes"),
        classes=meta["classes"],
    )


def transforms(examples: Examples, augment: AugmentParams, seed: int) -> Callable[[int], Transform]:
    """Augmentation: a plan for all images of an epoch, applied batch by batch."""

    def transform_of(epoch: int) -> Transform:
        plan = sample_plan(augment, seed=seed, epoch=epoch, shape=examples.inputs.shape)

        def transform(indices: np.ndarray, images: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return apply_plan(images, targets, plan.take(indices))

        return transform

    return transform_of
