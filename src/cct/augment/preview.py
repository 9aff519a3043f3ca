"""What augmentation does to a few images, for the figure."""

import numpy as np

from cct.augment.params import AugmentParams
from cct.augment.sampling import apply_plan, sample_plan


def enabled_augmentations(augment: AugmentParams) -> list[str]:
    """What of it is on, in the order in which it is done."""
    policies = {
        "none": "",
        "randaugment": "RandAugment",
        "autoaugment_cifar10": "AutoAugment (CIFAR-10)",
        "autoaugment_svhn": "AutoAugment (SVHN)",
    }
    mixes = augment.mix_prob and augment.mix_epochs != 0
    cut = augment.mix_switch_prob if augment.mixup_alpha else 1  # a switch is for two
    up = 1 - augment.mix_switch_prob if augment.cutmix_alpha else 1
    found = {
        "crop": augment.crop_padding,
        "resized crop": augment.resized_crop,
        "flip": augment.horizontal_flip,
        policies[augment.policy]: augment.policy != "none",
        "random_erasing_prob": augment.random_erasing_prob,
        "MixUp": mixes and augment.mixup_alpha * up,
        "CutMix": mixes and augment.cutmix_alpha * cut,
    }
    return [name for name, strength in found.items() if strength]


def preview_images(images_nhwc: np.ndarray, labels_n: np.ndarray, augment: AugmentParams) -> dict[str, np.ndarray]:
    """The first images of up to eight classes as each ingredient changes them by itself, and last as `augment` does.

    Each is as strong as `augment` says, or as in the paper's recipes where it is off there, and has its turn with every
    image; a policy's own probabilities and a random crop may still leave some as they were.

    Returns:
        Images (m, h, w, c) by what was done to them; m is even, so that none is mixed with itself.
    """
    _, first_k = np.unique(labels_n, return_index=True)
    images_mhwc = np.asarray(images_nhwc[np.sort(first_k)[: min(8, len(first_k) // 2 * 2)]])
    nothing = augment.model_copy(
        update={
            "crop_padding": 0,
            "resized_crop": None,
            "horizontal_flip": False,
            "policy": "none",
            "randaugment_prob": 1.0,
            "random_erasing_prob": 0.0,
            "mixup_alpha": 0.0,
            "cutmix_alpha": 0.0,
            "mix_prob": 1.0,
            "mix_epochs": None,
        }
    )
    padding, share = augment.crop_padding or max(1, images_mhwc.shape[1] // 8), augment.resized_crop or 0.8
    mixup, cutmix = augment.mixup_alpha or 0.8, augment.cutmix_alpha or 1.0
    layers, magnitude = augment.randaugment_num_ops, augment.randaugment_magnitude
    ingredients = {
        "original": {},
        f"crop (padding {padding}), flip": {"crop_padding": padding, "horizontal_flip": True},
        f"resized crop (from {share:g})": {"resized_crop": share},
        f"RandAugment ({layers}, {magnitude:g})": {"policy": "randaugment"},
        "AutoAugment (CIFAR-10)": {"policy": "autoaugment_cifar10"},
        "AutoAugment (SVHN)": {"policy": "autoaugment_svhn"},
        "random_erasing_prob": {"random_erasing_prob": 1.0},
        f"MixUp (alpha {mixup:g})": {"mixup_alpha": mixup},
        f"CutMix (alpha {cutmix:g})": {"cutmix_alpha": cutmix},
    }
    rows = {name: nothing.model_copy(update=changes) for name, changes in ingredients.items()}
    targets_mm = np.eye(len(images_mhwc), dtype=np.float32)
    return {
        name: apply_plan(images_mhwc, targets_mm, sample_plan(row, seed=0, epoch=0, shape=images_mhwc.shape))[0]
        for name, row in (rows | {"as in params.yaml": augment}).items()
    }
