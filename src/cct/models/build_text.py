"""Builds a model of texts from its architecture. The model maps token ids to logits."""

import keras
import numpy as np

from cct.models.build import classify
from cct.models.fields import TextArchitecture
from cct.models.layers.words import WordConvTokenizer, WordEmbedding, WordPatchTokenizer
from cct.models.text_cost import token_counts

EMBEDDING = "embedding"  # name of the layer with the vectors


def build_text_model(
    architecture: TextArchitecture,
    *,
    length: int,
    vocabulary_size: int,
    classes: int,
    vectors_vd: np.ndarray | None = None,
    frozen: bool = False,
) -> keras.Model:
    """Build the model.

    Args:
        architecture: see `cct.models.architectures.resolve_text_architecture`.
        length: token ids of a text; shorter texts end in padding.
        vocabulary_size: number of different token ids: padding, the unknown word, and the vocabulary.
        classes: number of logits.
        vectors_vd: initial vectors of all token ids. None: random ones.
        frozen: whether training leaves the vectors alone.

    Returns:
        A functional model from int32 token ids (b, length) to float32 logits (b, classes).

    Raises:
        ModelError: patches do not fill the length.
    """
    a = architecture
    token_counts(a, length)  # raises ModelError if the length does not fit
    ids = keras.Input((length,), dtype="int32", name="words")
    embedding = WordEmbedding(vocabulary_size, a.word_dim, trainable=not frozen, name=EMBEDDING)
    x, valid = embedding(ids)
    if vectors_vd is not None:
        embedding.table.assign(vectors_vd)
    x, valid = TOKENIZERS[a.tokenizer](a, x, valid)
    return keras.Model(ids, classify(a, x, valid, classes=classes), name="cct")


def _conv_tokenizer(a: TextArchitecture, x, valid):
    return WordConvTokenizer(
        a.embed_dim,
        kernel_size=a.kernel_size,
        stride=a.stride,
        padding=a.padding,
        use_bias=a.conv_bias,
        initialization=a.initialization,
        name="tokenizer",
    )(x, valid)


def _patch_tokenizer(a: TextArchitecture, x, valid):
    return WordPatchTokenizer(a.embed_dim, a.patch_size, initialization=a.initialization, name="tokenizer")(x, valid)


TOKENIZERS = {"conv": _conv_tokenizer, "patch": _patch_tokenizer, "none": lambda a, x, valid: (x, valid)}
