"""Images of any shape train, with every augmentation, or one sentence says what to do."""

import keras
import numpy as np
import pytest
from runs import SEED_SHIFT, TRAIN
from trainings import RANDOM

from cct.models.architectures import ModelError, ModelParams, resolve_architecture
from cct.models.cost import model_cost, training_memory
from cct.tasks.training import TRAINING_TASKS
from cct.training.batches import Examples
from cct.training.loop import train_model
from cct.training.params import TrainParams
from cct.training.parts import FREEZE

pytestmark = pytest.mark.usefixtures("deterministic")
TASK = TRAINING_TASKS["image_classification"]
RESIZED = RANDOM.model_copy(update={"crop_padding": 0, "resized_crop": 0.5, "policy": "autoaugment_cifar10"})


def meta(height: int, width: int, channels: int) -> dict:
    image = {"mean": [0.5] * channels, "std": [0.25] * channels}
    return {"image_shape": [height, width, channels], "classes": ["a", "b", "c"], **image}


@pytest.mark.parametrize(
    ("shape", "model", "tokens"),
    [
        ((8, 8, 3), {"name": "cct_2_7x1"}, 2 * 2),
        ((12, 40, 1), {"name": "cct_2_3x2"}, 3 * 10),
        ((64, 48, 3), {"name": "vit_lite_2_8"}, 8 * 6 + 1),
        ((512, 8, 3), {"name": "cvt_2_4"}, 128 * 2),
        ((31, 30, 4), {"name": "keras_example"}, 8 * 8),
        ((512, 512, 3), {"name": "cct_2_7x2", "num_conv_layers": 3, "conv_channels": 4}, 8 * 8),
    ],
)
def test_images_of_any_shape_train(shape, model, tokens):
    params = ModelParams(**model | {"num_layers": 1, "embed_dim": 8, "num_heads": 2})
    size = dict(zip(("height", "width", "channels"), shape, strict=True), classes=3)
    assert model_cost(resolve_architecture(params), **size).tokens == tokens
    images = np.random.default_rng(0).integers(0, 256, (6, *shape), dtype=np.uint8)
    examples = Examples(images, np.arange(6) % 3)
    keras.utils.set_random_seed(SEED_SHIFT)
    network = TASK.build(params, meta(*shape))
    before = np.concatenate([weight.ravel() for weight in network.get_weights()])
    history = train_model(
        network,
        examples,
        examples,
        config=TrainParams(**TRAIN | {"epochs": 2, "batch_size": 3, "seed": SEED_SHIFT}),
        transform_of=lambda epoch: TASK.transforms(examples, (RANDOM, RESIZED)[epoch], 0)(epoch),
        jit_compile=False,
    )
    assert all(np.isfinite(row["train_loss"]) for row in history)
    assert (before != np.concatenate([weight.ravel() for weight in network.get_weights()])).any()


@pytest.mark.parametrize(
    ("shape", "model", "said"),
    [
        (
            (12, 40, 1),
            {"name": "cvt_2_8"},
            r"of 8x8 do not fill images of 12x40: set model\.patch_size to 2 or 4, or",
        ),
        ((30, 31, 3), {"name": "vit"}, r"patches of 4x4 do not fill images of 30x31: choose a model with convolutions"),
        ((8, 8, 3), {"name": "keras_example", "kernel_size": 7}, r"an image this small: 8x8; lower model\.num_conv_l"),
    ],
)
def test_shapes_that_a_model_cannot_take_are_refused_with_a_remedy(shape, model, said):
    for refused in (
        lambda: TASK.build(ModelParams(**model), meta(*shape)),
        lambda: TASK.memory(ModelParams(**model), meta(*shape), 128),  # `train` asks this first
    ):
        with pytest.raises(ModelError, match=said):
            refused()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 40), (64, 48), (512, 8)])
def test_a_proposed_patch_size_works(height, width):
    with pytest.raises(ModelError) as caught:
        TASK.build(ModelParams(name="cvt_2_16", patch_size=511), meta(height, width, 3))
    proposed = str(caught.value).partition("model.patch_size to ")[2].partition(", or choose")[0].split(" or ")
    for size in map(int, proposed):
        network = TASK.build(ModelParams(name="cvt_2_16", patch_size=size), meta(height, width, 3))
        assert network.get_layer("tokenizer").output.shape[1] == height * width // size**2


def test_the_memory_of_large_images_is_known_before_a_step():
    """Attention weights alone of the default model: 2 layers, 2 heads, 128 x 128 tokens, batches of 128, 4 bytes.

    TensorFlow holds those of 64 queries at a time. The example's wide heads have no such parts.
    """
    size = {"height": 512, "width": 512, "channels": 3, "classes": 3, "batch_size": 128}
    of = {name: resolve_architecture(ModelParams(name=name)) for name in ("cct_2_3x2", "keras_example")}
    needed = training_memory(of["cct_2_3x2"], **size)
    assert needed > 2 * 2 * (128 * 128) ** 2 * 128 * 4 > 2**38
    parts = training_memory(of["cct_2_3x2"], **size, in_parts=True)
    assert parts == needed - 4 * 128 * 2 * 2 * (128 * 128 - 64) * 128 * 128
    example = training_memory(of["keras_example"], **size)
    assert training_memory(of["keras_example"], **size, in_parts=True) == example > 2**38
    tensorflow = keras.backend.backend() == "tensorflow"
    assert TASK.memory(ModelParams(name="cct_2_3x2"), meta(512, 512, 3), 128) == (parts if tensorflow else needed)
    small = resolve_architecture(ModelParams(name="cct_2_3x2", num_conv_layers=5))
    assert training_memory(small, **size) == training_memory(small, **size, in_parts=True) < needed / 20


def test_frozen_parts_need_less_memory():
    """Of the encoder nothing is left for the backward pass: one layer at a time, instead of seven."""
    of = {freeze: TASK.memory(ModelParams(name="cct_7_3x1"), meta(32, 32, 3), 128, freeze) for freeze in FREEZE}
    assert of["encoder"] < of["none"] / 5 and of["encoder"] < of["tokenizer"] < of["none"]
    assert of["none"] == TASK.memory(ModelParams(name="cct_7_3x1"), meta(32, 32, 3), 128)
