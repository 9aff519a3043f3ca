"""Text classification: whether parameters fit texts. It needs neither Keras nor the data."""

from cct.augment.augmentations import AUGMENTATIONS
from cct.augment.params import AugmentParams
from cct.errors import CCTError
from cct.models.architectures import ModelError, ModelParams
from cct.models.fields import TextArchitecture
from cct.overrides import arguments

SHARED = ("mixup_alpha",)  # augmentations of images that texts have too


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


def require_word_dim(architecture: TextArchitecture, word_dim: int, file: str) -> None:
    """Refuse a model whose words have other dimensions than their pretrained vectors.

    Args:
        architecture: of the model.
        word_dim: of the vectors.
        file: the name of their file.

    Raises:
        ModelError: they differ.
    """
    if architecture.word_dim != word_dim:
        raise ModelError(
            f"model.word_dim = {architecture.word_dim}, and the vectors in {file} have {word_dim} dimensions: set "
            "model.word_dim to null"
        )
