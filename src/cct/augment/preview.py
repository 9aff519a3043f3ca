"""A few augmented images, for the figure."""

import numpy as np

from cct.augment.augmentations import AUGMENTATIONS
from cct.augment.params import AugmentParams
from cct.augment.sampling import apply_plan, sample_plan

MAX_IMAGES = 8


def enabled_augmentations(augment: AugmentParams) -> list[str]:
    """The names of the enabled augmentations, in the order of application."""
    return [name for entry in AUGMENTATIONS.values() for name in entry.names(augment)]


def preview_images(images_nhwc: np.ndarray, labels_n: np.ndarray, augment: AugmentParams) -> dict[str, np.ndarray]:
    """Up to eight images of different classes: original, with each augmentation alone, and with all enabled ones.

    They are the first of each class. If there are fewer than eight classes, the second of each follow, and so on.

    Each augmentation is applied to every image, as strongly as `augment` says. If it is off, its strength comes from
    the paper's configs. The probabilities within a policy, or a random crop, may still leave some images unchanged.

    Returns:
        Images (m, h, w, c) by the title of a row. m is even, so that no image is mixed with itself.
    """
    images_mhwc = np.asarray(images_nhwc[_chosen(labels_n)])
    off = {name: value for entry in AUGMENTATIONS.values() for name, value in entry.off.items()}
    rows = {"original": augment.model_copy(update=off)}
    for entry in AUGMENTATIONS.values():
        for title, changes in entry.alone(augment, images_mhwc.shape[1]).items():
            rows[title] = augment.model_copy(update=off | changes)
    targets_mm = np.eye(len(images_mhwc), dtype=np.float32)
    return {
        title: apply_plan(images_mhwc, targets_mm, sample_plan(row, seed=0, epoch=0, shape=images_mhwc.shape))[0]
        for title, row in (rows | {"as in params.yaml": augment}).items()
    }


def _chosen(labels_n: np.ndarray) -> np.ndarray:
    chosen, left = np.arange(0), np.arange(len(labels_n))
    while len(chosen) < MAX_IMAGES and len(left):
        _, first_k = np.unique(labels_n[left], return_index=True)
        chosen, left = np.append(chosen, np.sort(left[first_k])), np.delete(left, first_k)
    return chosen[: min(MAX_IMAGES, len(chosen) // 2 * 2)]
