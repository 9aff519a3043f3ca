"""Image classification: whether parameters fit images. It needs neither Keras nor the data."""

from collections.abc import Iterator
from typing import Any

from cct.augment.params import AugmentParams
from cct.errors import CCTError
from cct.models.architectures import ModelError, ModelParams, resolve_architecture


def misfits(model: ModelParams, augment: AugmentParams, preprocess: Any) -> Iterator[CCTError]:
    """Each parameter that does not fit images.

    Args:
        model: the section `model`.
        augment: the section `augment`.
        preprocess: the section `preprocess`.
    """
    try:
        resolve_architecture(model)
    except ModelError as error:
        yield error
    try:
        require_image_augmentation(augment)
    except CCTError as error:
        yield error


def require_image_augmentation(augment: AugmentParams) -> None:
    """Refuse augmentations of texts.

    Raises:
        CCTError: one is on.
    """
    if augment.word_dropout:
        raise CCTError(
            f"augment.word_dropout = {augment.word_dropout}: this changes texts, and the data are images: set it to 0"
        )
