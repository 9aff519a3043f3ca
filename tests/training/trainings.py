"""Training on a few hundred small images that can be learned."""

import keras
import numpy as np
from runs import OFF, SEED_SHIFT, TRAIN

from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.build import build_model
from cct.models.saving import predict_logits
from cct.tasks.image_classification.training import transforms
from cct.training.batches import Examples
from cct.training.loop import train_model
from cct.training.params import TrainParams

# Everything that is random, at once.
RANDOM = OFF.model_copy(
    update={
        "crop_padding": 1,
        "horizontal_flip": True,
        "policy": "randaugment",
        "random_erasing_prob": 0.25,
        "mixup_alpha": 0.8,
        "cutmix_alpha": 1.0,
        "mix_epochs": 2,
    }
)


def split(count: int, seed: int) -> Examples:
    """Noise, brighter in the quarter that the label names."""
    generator = np.random.default_rng(seed + SEED_SHIFT)
    images, labels = generator.integers(0, 100, (count, 8, 8, 1)), generator.integers(0, 4, count)
    for image, label in zip(images, labels, strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[row : row + 4, column : column + 4] += 100
    return Examples(images.astype(np.uint8), labels)


def network(seed: int = 0, *, num_layers: int = 1, **fields):
    keras.utils.set_random_seed(seed + SEED_SHIFT)
    params = ModelParams(name="cct_2_3x1", embed_dim=32, num_layers=num_layers, **fields)
    return build_model(resolve_architecture(params), image_shape=(8, 8, 1), classes=4)


def train(net, *, augment=OFF, on_epoch=lambda row: None, train_split=None, val_split=None, saved=None, **changes):
    config = TrainParams(**TRAIN | {"seed": SEED_SHIFT} | changes)
    examples = train_split or split(200, 0)
    return train_model(
        net,
        examples,
        val_split or split(80, 1),
        config=config,
        transform_of=transforms(examples, augment, config.seed),
        jit_compile=False,
        checkpoints=saved,
        on_epoch=on_epoch,
    )


def accuracy_of(net, examples: Examples) -> float:
    return float((predict_logits(net, examples.inputs, batch_size=32).argmax(1) == examples.labels).mean())


# Of seven batches an epoch every third is an update, so that an interrupted epoch leaves gradients behind.
CHANGES = {
    "epochs": 3,
    "augment": RANDOM,
    "optimizer": "muon_conv",
    "clip_norm": 0.5,
    "gradient_accumulation_steps": 3,
    "ema_decay": 0.8,
    "class_weights": "effective",
}


CONVOLUTIONS = {"num_conv_layers": 2, "conv_channels": 8, "pool_after": [2]}  # muon_conv takes the second one


def random_network(seed: int = 0):
    """With every kind of random number that a model draws while it is trained, and averages that are not trained."""
    rates = {"dropout": 0.1, "attention_dropout": 0.1, "stochastic_depth": 0.5}
    return network(seed, num_layers=2, **CONVOLUTIONS, conv_norm="batch", **rates)
