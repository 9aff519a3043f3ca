"""Text classification: word dropout and MixUp, as the transform of batches. It is NumPy on the host, as for images."""

from collections.abc import Callable

import numpy as np

from cct.augment.params import AugmentParams
from cct.augment.streams import DROPPED_WORDS, MIXED, MIXUP, random_stream
from cct.training.batches import Examples, Transform
from cct.words import MOST_WORDS, PADDING, UNKNOWN

WHOLE = 256  # MixUp's weights are in 1/256, as those of images


def transforms(examples: Examples, augment: AugmentParams, seed: int) -> Callable[[int], Transform]:
    """Words become unknown with a probability, and texts are mixed with others of their batch.

    Each depends on (seed, epoch, batch) alone.
    """
    count = len(examples.labels)

    def transform_of(epoch: int) -> Transform:
        weight_n = partner_weights(augment, seed=seed, epoch=epoch, count=count)

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


def partner_weights(augment: AugmentParams, *, seed: int, epoch: int, count: int) -> np.ndarray | None:
    """The weight (n,) of each text's partner, in 1/256; None without MixUp in this epoch."""
    if not augment.mixup_alpha or (augment.mix_epochs is not None and epoch >= augment.mix_epochs):
        return None
    mixed_n = random_stream(seed, epoch, MIXED).random(count) < augment.mix_prob
    own_n = random_stream(seed, epoch, MIXUP).beta(augment.mixup_alpha, augment.mixup_alpha, count)
    return np.where(mixed_n, WHOLE - np.rint(WHOLE * own_n).astype(np.int32), 0).astype(np.int32)


def mix_texts(words_bl: np.ndarray, targets_bk: np.ndarray, weight_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mix targets, and write into the numbers of words how the model has to mix vectors.

    The partner is the text at the mirrored place of the batch.

    Args:
        words_bl: numbers of words, int32.
        targets_bk: one-hot labels, float32.
        weight_b: weight of each text's partner, in 1/256.
    """
    share_b1 = (weight_b[:, None] / WHOLE).astype(np.float32)
    return words_bl + MOST_WORDS * weight_b[:, None], (1 - share_b1) * targets_bk + share_b1 * targets_bk[::-1]
