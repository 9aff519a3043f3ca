"""Text classification: whether parameters fit texts. It needs neither Keras nor the data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cct.augment.augmentations import AUGMENTATIONS
from cct.augment.params import AugmentParams
from cct.errors import CCTError
from cct.models.architectures import ModelError, ModelParams, require_model_of, resolve_text_architecture
from cct.models.names import TEXTS
from cct.params import arguments

SHARED = ("mixup_alpha",)  # augmentations of images that texts have too


def misfits(model: ModelParams, augment: AugmentParams, preprocess: Any) -> Iterator[CCTError]:
    """Each parameter that does not fit texts. The width of pretrained vectors is not known yet.

    Args:
        model: the section `model`.
        augment: the section `augment`.
        preprocess: the section `preprocess`.
    """
    path = preprocess.embeddings
    if path and not Path(path).is_file():
        yield CCTError(f"preprocess.embeddings = {path!r}: there is no such file")
    try:
        require_model_of(TEXTS, model.name)
        if not path:
            resolve_text_architecture(model)
            require_trained_vectors(model)
    except ModelError as error:
        yield error
    try:
        require_text_augmentation(augment)
    except CCTError as error:
        yield error


def require_text_augmentation(augment: AugmentParams) -> None:
    """Refuse augmentations of images.

    Raises:
        CCTError: one is on; the message names all.
    """
    off = {name: value for entry in AUGMENTATIONS.values() for name, value in entry.off.items()}
    found = {name: getattr(augment, name) for name in off if name not in SHARED}
    wrong = {name: value for name, value in found.items() if value != off[name]}
    if wrong:
        settings = " ".join(arguments({f"augment.{name}": off[name] for name in wrong}))
        raise CCTError(
            f"augment.{', augment.'.join(wrong)}: this changes images, and the data are texts: turn it off with "
            f"{settings}, or take the preset text"
        )


def require_trained_vectors(model: ModelParams) -> None:
    """Refuse to freeze vectors of words that no file gives.

    Raises:
        ModelError: they are frozen.
    """
    if model.freeze_embeddings:
        raise ModelError(
            "model.freeze_embeddings = true: the data have no vectors, so random ones would stay: give "
            "preprocess.embeddings, or set it to null"
        )
