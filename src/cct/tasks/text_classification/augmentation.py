"""Text classification: word dropout and MixUp, as the transform of batches. It is NumPy on the host, as for images."""

import functools
from collections.abc import Callable

import numpy as np

from cct.augment.augmentations import sample_mixed, sample_mixup_weights
from cct.augment.ops import WHOLE
from cct.augment.params import AugmentParams
from cct.augment.streams import DROPPED_WORDS, random_stream
from cct.training.batches import Examples, Transform
from cct.words import MOST_WORDS, PADDING, UNKNOWN


def transforms(examples: Examples, augment: AugmentParams, seed: int) -> Callable[[int], Transform]:
    """Words become unknown with a probability, and texts are mixed with others of their batch.

    Each depends on (seed, epoch, batch) alone.
    """
    count = len(examples.labels)

    def transform_of(epoch: int) -> Transform:
        weight_n = mixup_weights(augment, seed=seed, epoch=epoch, count=count)

        def transform(indices: np.ndarray, words: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            words_bl = np.asarray(words)
            if augment.word_dropout:
                # An index is in one batch of an epoch alone, so it names the batch.
                generator = np.random.default_rng([seed, epoch, DROPPED_WORDS, int(indices[0])])
                words_bl = drop_words(words_bl, augment.word_dropout, generator)
            return (words_bl, targets) if weight_n is None else mix_texts(words_bl, targets, weight_n[indices])

        return transform

    return transform_of


def drop_words(words_bl: np.ndarray, rate: float, generator: np.random.Generator) -> np.ndarray:
    """Make each word the unknown one with a probability. Padding stays."""
    dropped_bl = generator.random(words_bl.shape, np.float32) < rate
    return np.where(dropped_bl & (words_bl != PADDING), UNKNOWN, words_bl).astype(words_bl.dtype)


def mixup_weights(augment: AugmentParams, *, seed: int, epoch: int, count: int) -> np.ndarray | None:
    """The weight of each text itself, (n,), as of images; None without MixUp in this epoch."""
    streams = functools.partial(random_stream, seed, epoch)
    mixed_n = sample_mixed(augment, streams, count, epoch) if augment.mixup_alpha else None
    return None if mixed_n is None else sample_mixup_weights(augment, streams, mixed_n)


def mix_texts(words_bl: np.ndarray, targets_bk: np.ndarray, weight_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mix targets, and write into the numbers of words how the model has to mix vectors.

    The partner is the text at the mirrored place of the batch.

    Args:
        words_bl: numbers of words, int32.
        targets_bk: one-hot labels, float32.
        weight_b: weight of each text itself, in 1/`WHOLE`.
    """
    kept_b1 = (weight_b[:, None] / WHOLE).astype(np.float32)
    partner_b1 = (WHOLE - weight_b[:, None]).astype(words_bl.dtype)  # what `cct.words.MOST_WORDS` describes
    return words_bl + MOST_WORDS * partner_b1, kept_b1 * targets_bk + (1 - kept_b1) * targets_bk[::-1]
