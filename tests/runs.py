"""A run of the pipeline that takes seconds and uses everything random, and the digests of its outputs."""

import os
import re
from typing import Any

from clones import ROOT, Clone

from cct.augment.augmentations import AUGMENTATIONS
from cct.augment.params import AugmentParams
from cct.files import sha256_of_file
from cct.pipeline import pipeline_outputs

OUTPUTS = pipeline_outputs(ROOT)
THREADS = int(os.environ.get("TF_NUM_INTRAOP_THREADS", "1"))
SEED_SHIFT = int(os.environ.get("CCT_TEST_SEED_SHIFT", "0"))  # pytest --seed-shift
# No augmentation, and how strong each would be.
OFF = AugmentParams(
    randaugment_num_ops=2,
    randaugment_magnitude=9.0,
    randaugment_magnitude_std=0.5,
    randaugment_prob=0.5,
    mix_prob=1.0,
    mix_switch_prob=0.5,
    mix_epochs=None,
    **{name: value for augmentation in AUGMENTATIONS.values() for name, value in augmentation.off.items()},
)
# The `train` section for a model that is trained in a test.
TRAIN = {
    "epochs": 4,
    "batch_size": 32,
    "optimizer": "adamw",
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "min_learning_rate": 1e-5,
    "warmup_epochs": 0.5,
    "cooldown_epochs": 0,
    "step_epochs": 30,
    "step_factor": 0.1,
    "weight_decay": 0.01,
    "decay_norm_and_bias": False,
    "clip_norm": None,
    "gradient_accumulation_steps": 1,
    "ema_decay": None,
    "label_smoothing": 0.1,
    "class_weights": "none",
    "early_stopping_patience": None,
    "init_from": None,
    "freeze": "none",
    "layer_decay": 1.0,
    "seed": 0,
}
# A run of seconds with everything random in it.
SETTINGS = {
    "data.source": "data/sources/digits.yaml",
    "model.name": "cct_2_3x1",
    "model.num_layers": 1,
    "model.embed_dim": 32,
    "model.dropout": 0.1,
    "train.epochs": 3,
    "train.batch_size": 256,
    "train.warmup_epochs": 1,
    "runtime.threads": THREADS,
}
SEEDED = SETTINGS | {"train.seed": SEED_SHIFT}
OVERRIDES = [word for name, value in SEEDED.items() for word in ("-S", f"{name}={value}")]


def set_parameters(clone: Clone) -> None:
    set_values(clone, SEEDED)


def set_values(clone: Clone, values: dict[str, Any]) -> None:
    """Write values into params.yaml by their full names; its comments stay."""
    text = (clone.path / "params.yaml").read_text()
    for name, value in values.items():
        section, field = name.split(".")
        text, count = re.subn(
            rf"(?ms)^({section}:.*?^  {field}: )[^\s]+", lambda found, value=value: found[1] + str(value), text, count=1
        )
        assert count, name
    (clone.path / "params.yaml").write_text(text)


def digests(clone: Clone) -> dict[str, str]:
    """Of everything that the stages write, and of what DVC says of it."""
    files = [
        path
        for name in OUTPUTS
        for path in ([clone.path / name] if (clone.path / name).is_file() else sorted((clone.path / name).rglob("*")))
        if path.is_file()
    ]
    assert len(files) > 15
    return {str(path.relative_to(clone.path)): sha256_of_file(path) for path in [*files, clone.path / "dvc.lock"]}
