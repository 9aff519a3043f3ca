"""Text classification: all parameters that do not fit texts, before any work. No result depends on it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cct.augment.params import AugmentParams
from cct.data.arrays import DataError
from cct.data.texts.vectors import vectors_width
from cct.errors import CCTError
from cct.models.architectures import ModelError, ModelParams, require_model_of, resolve_text_architecture
from cct.models.names import TEXTS
from cct.tasks.text_classification.checks import require_text_augmentation, require_trained_vectors, require_word_dim


def misfits(model: ModelParams, augment: AugmentParams, preprocess: Any) -> Iterator[CCTError]:
    """Each parameter that does not fit texts. Of the file of vectors, the first line is read.

    Args:
        model: the section `model`.
        augment: the section `augment`.
        preprocess: the section `preprocess`.
    """
    path, word_dim = preprocess.embeddings, None
    try:
        word_dim = vectors_width(Path(path)) if path else None
    except DataError as error:
        yield error
    try:
        require_model_of(TEXTS, model.name)
        if not path:
            resolve_text_architecture(model)
            require_trained_vectors(model)
        elif word_dim is not None:
            require_word_dim(resolve_text_architecture(model, word_dim=word_dim), word_dim, Path(path).name)
    except ModelError as error:
        yield error
    try:
        require_text_augmentation(augment)
    except CCTError as error:
        yield error
