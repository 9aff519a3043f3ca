"""Training on a few hundred small images that can be learned."""

import math
import os
import re
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest
from runs import OFF, SEED_SHIFT, TRAIN

from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.build import build_model
from cct.models.saving import predict_logits
from cct.tasks.image_classification.training import transforms
from cct.training.averaging import LearningRate
from cct.training.batches import EvalBatches, Examples, train_batches
from cct.training.callbacks import BestWeights, TrainingError, format_seconds
from cct.training.checkpoints import CheckpointStore
from cct.training.history import best_accuracy, best_row, history_columns
from cct.training.loop import train_model
from cct.training.optimizers import make_optimizer
from cct.training.params import TrainParams
from cct.training.schedules import learning_rate

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


@pytest.fixture(autouse=True, scope="module")
def _deterministic():
    """Equal trainings give equal bits on any number of threads. Process-wide, so another file may have changed it.

    Of the module, so that it is there before `undisturbed` trains, whichever test runs first.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def split(count: int, seed: int) -> Examples:
    """Noise, brighter in the quarter that the label names."""
    generator = np.random.default_rng(seed + SEED_SHIFT)
    images, labels = generator.integers(0, 100, (count, 8, 8, 1)), generator.integers(0, 4, count)
    for image, label in zip(images, labels, strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[row : row + 4, column : column + 4] += 100
    return Examples(images.astype(np.uint8), labels)


def network(seed: int = 0, **fields):
    keras.utils.set_random_seed(seed + SEED_SHIFT)
    params = ModelParams(name="cct_2_3x1", embed_dim=32, num_layers=1, **fields)
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


def test_each_step_follows_the_gradient():
    """With all examples in a batch, nothing random and a small rate, the loss falls at every step."""
    net = network(attention_dropout=0.0, stochastic_depth=0.0)
    history = train(
        net, epochs=6, batch_size=200, learning_rate=1e-4, schedule="constant", warmup_epochs=0, weight_decay=0.0
    )
    losses = [row["train_loss"] for row in history]
    assert losses == sorted(losses, reverse=True) and len(set(losses)) == 6


def test_it_ends_with_the_weights_of_the_best_epoch():
    net, seen, val = network(), [], split(80, 1)
    history = train(net, on_epoch=seen.append, epochs=6)
    best = best_row(history)
    assert sum(row["best"] for row in history) == 1
    assert best["val_accuracy"] == max(row["val_accuracy"] for row in history)
    assert accuracy_of(net, val) == pytest.approx(best["val_accuracy"])
    assert [{**row, "best": r["best"]} for row, r in zip(seen, history, strict=True)] == history
    assert [*history[0]] == list(history_columns())


def test_the_first_of_equally_good_epochs_is_the_best():
    best = BestWeights(None, None)
    best.set_model(network())
    for epoch, accuracy in enumerate([0.5, 0.7, 0.7, 0.6]):
        best.on_epoch_end(epoch, {"val_accuracy": accuracy})
    assert (best.epoch, best.accuracy) == (1, 0.7)


def test_early_stopping_counts_epochs_without_a_better_one():
    """At this rate no weight changes in float32, so the first epoch stays the best."""
    history = train(network(), epochs=30, early_stopping_patience=2, learning_rate=1e-12, min_learning_rate=0.0)
    assert [row["best"] for row in history] == [1, 0, 0]


def test_equal_seeds_give_equal_weights_and_others_do_not():
    weights = []
    for seed in (0, 0, 1):
        net = network(seed)
        train(net, epochs=2, seed=seed, augment=RANDOM)
        weights.append(np.concatenate([w.ravel() for w in net.get_weights()]))
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


def test_a_loss_that_is_no_number_stops_with_advice():
    net = network()
    net.get_layer("head").bias.assign([np.nan] * 4)
    with pytest.raises(TrainingError, match=r"nan in epoch 1\. Try a lower train\.learning_rate"):
        train(net)


def test_the_schedule_is_the_config_at_every_step():
    params = TrainParams(**TRAIN | {"warmup_epochs": 1.5})
    schedule = LearningRate(params, steps_per_epoch=7)
    steps = np.arange(28)
    np.testing.assert_allclose([float(schedule(step)) for step in steps], learning_rate(params, steps / 7), rtol=1e-4)


def values(variables: list) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def optimizer(net, **changes):
    """Of the config, without warm-up or decay."""
    plain = {"schedule": "constant", "warmup_epochs": 0, "weight_decay": 0.0}
    adamw = make_optimizer(net, TrainParams(**TRAIN | plain | changes), steps_per_epoch=10)
    adamw.build(net.trainable_variables)
    return adamw


def gradients(net, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.normal(size=v.shape).astype("float32") for v in net.trainable_variables]


@pytest.mark.parametrize("batches", [1, 2])
def test_averages_are_those_of_the_weights_after_each_update(batches):
    """By hand: the first update's weights, then 0.9 of the average and 0.1 of the weights."""
    net = network()
    adamw = optimizer(net, ema_decay=0.9, gradient_accumulation_steps=batches, learning_rate=0.1)
    expected = None
    for step in range(5 * batches):
        adamw.apply(gradients(net, step), net.trainable_variables)
        if step % batches == batches - 1:
            weights = values(net.trainable_variables)
            if expected is None:
                expected = weights
            else:
                expected = [0.9 * a + 0.1 * w for a, w in zip(expected, weights, strict=True)]
    for _ in range(batches - 1):  # Keras averages after every batch: the last update counts in full a round later
        adamw.apply([np.zeros(v.shape, "float32") for v in net.trainable_variables], net.trainable_variables)
    adamw.use_averages(net.trainable_variables)
    for found, hand in zip(values(net.trainable_variables), expected, strict=True):
        np.testing.assert_allclose(found, hand, rtol=1e-5, atol=1e-6)


class Averages:
    """Stands in for an optimizer: it has the averages of one matrix."""

    built = True  # Keras asks on JAX

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def use_averages(self, variables: list) -> None:
        variables[0].assign(self.matrix)


@pytest.mark.parametrize("averages_are_right", [True, False])
def test_of_raw_and_averaged_weights_the_better_are_kept(averages_are_right):
    """A linear model of four inputs: the identity labels all of them right, its mirror image none."""
    right, wrong = np.eye(4, dtype="float32"), np.eye(4, dtype="float32")[::-1]
    raw, averages = (wrong, right) if averages_are_right else (right, wrong)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, use_bias=False)])
    model.compile(loss="categorical_crossentropy", metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")])
    model.set_weights([raw])
    model.optimizer = Averages(averages)
    best = BestWeights(EvalBatches(Examples(right, np.arange(4)), batch_size=3, classes=4), None)
    best.set_model(model)
    logs = {"val_accuracy": float(not averages_are_right)}
    best.on_epoch_end(0, logs)
    assert logs["ema_val_accuracy"] == float(averages_are_right) and "ema_val_loss" in logs
    assert best.accuracy == 1.0
    np.testing.assert_array_equal(best.weights[0], right)
    np.testing.assert_array_equal(model.get_weights()[0], raw)  # training continues with them


def test_averaged_weights_are_measured_beside_the_raw_ones():
    changes = {"epochs": 3, "learning_rate": 5e-2, "schedule": "constant"}
    without = train(network(), **changes)
    net = network()
    history = train(net, ema_decay=0.9, **changes)
    for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):  # training continues with the raw ones
        assert [row[name] for row in history] == [row[name] for row in without]
    assert [row["ema_val_loss"] for row in history] != [row["val_loss"] for row in history]
    best = best_row(history)
    assert best_accuracy(best) == max(map(best_accuracy, history))
    assert accuracy_of(net, split(80, 1)) == pytest.approx(best_accuracy(best))


def test_accumulated_gradients_make_the_update_of_their_mean():
    one, two, plain = network(), network(), network()
    first, second = gradients(one, 0), gradients(one, 1)
    optimizer(one, gradient_accumulation_steps=1).apply(
        [(a + b) / 2 for a, b in zip(first, second, strict=True)], one.trainable_variables
    )
    accumulating = optimizer(two, gradient_accumulation_steps=2)
    accumulating.apply(first, two.trainable_variables)
    for found, before in zip(values(two.trainable_variables), values(plain.trainable_variables), strict=True):
        np.testing.assert_array_equal(found, before)  # half an update changes nothing
    accumulating.apply(second, two.trainable_variables)
    for found, expected in zip(values(two.trainable_variables), values(one.trainable_variables), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_more_accumulation_than_batches_is_refused():
    with pytest.raises(TrainingError, match=r"accumulation_steps = 15 is more than the 14 batches of all 2"):
        train(network(), epochs=2, gradient_accumulation_steps=15)


def test_labels_are_smoothed():
    """Before the first update is felt: the loss of one batch, at a rate of next to nothing, by hand."""
    data, net = split(32, 0), network()
    logits = predict_logits(net, data.inputs, batch_size=32)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    targets = np.eye(4)[data.labels]
    for smoothing in (0.0, 0.2):
        expected = -((1 - smoothing) * targets + smoothing / 4) * log_p
        (row,) = train(network(), val_split=data, epochs=1, warmup_epochs=0, learning_rate=1e-9,
                       min_learning_rate=0.0, label_smoothing=smoothing)  # fmt: skip
        assert row["val_loss"] == pytest.approx(expected.sum(axis=1).mean(), rel=1e-4)


def test_gradients_are_clipped_to_a_norm_of_all_together():
    """Adam forgets the size of the first gradient, not its size beside the second."""
    big, small = gradients(network(), 0), [g * 1e-3 for g in gradients(network(), 1)]
    norm = np.sqrt(sum((g**2).sum() for g in big))
    weights = []
    for first, clip in ((big, 1.0), ([g / norm for g in big], None), (big, None)):
        net = network()
        adamw = optimizer(net, clip_norm=clip)
        adamw.apply(first, net.trainable_variables)
        adamw.apply(small, net.trainable_variables)
        weights.append(np.concatenate([v.ravel() for v in values(net.trainable_variables)]))
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-6)
    assert np.abs(weights[0] - weights[2]).max() > 1e-4


def test_a_step_whose_scaled_loss_overflows_changes_nothing_but_the_scale():
    net = network()
    scaled = keras.optimizers.LossScaleOptimizer(optimizer(net, ema_decay=0.9, clip_norm=1.0))
    scaled.build(net.trainable_variables)
    before, scale = values(net.trainable_variables), float(scaled.dynamic_scale)
    scaled.apply([g * np.inf for g in gradients(net, 0)], net.trainable_variables)
    assert float(scaled.dynamic_scale) == scale / 2 and int(scaled.iterations) == 0
    for found, expected in zip(values(net.trainable_variables), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    scaled.apply([g * (scale / 2) for g in gradients(net, 0)], net.trainable_variables)
    other = network()
    optimizer(other, ema_decay=0.9, clip_norm=1.0).apply(gradients(net, 0), other.trainable_variables)
    for found, expected in zip(values(net.trainable_variables), values(other.trainable_variables), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_muon_makes_orthogonal_steps_of_the_encoders_matrices_and_adamws_of_all_else():
    """In all its directions a matrix steps by the rate times 0.2 times the root of its longer side."""
    net = network()
    before, rate = values(net.trainable_variables), 1e-3
    optimizer(net, optimizer="muon", learning_rate=rate).apply(gradients(net, 0), net.trainable_variables)
    matrices = 0
    for variable, old in zip(net.trainable_variables, before, strict=True):
        step = keras.ops.convert_to_numpy(variable) - old
        if len(step.shape) == 2 and variable.path.startswith("encoder_0/"):
            singular = np.linalg.svd(step, compute_uv=False) / (rate * 0.2 * max(step.shape) ** 0.5)
            assert singular.min() > 0.5 and singular.max() < 1.3, variable.path
            matrices += 1
        else:  # Adam's first step is the rate itself, whatever the gradient
            np.testing.assert_allclose(np.abs(step), rate, rtol=1e-2)
    assert matrices == 4  # queries, keys and values; their projection; the MLP's two


@pytest.mark.parametrize("chosen", ["adamw", "muon"])
@pytest.mark.parametrize("everything", [False, True])
def test_norms_biases_and_positions_are_not_decayed(everything, chosen):
    """At a zero gradient an optimizer only decays: what stays as it was is not decayed."""
    net = network()
    adamw = optimizer(net, optimizer=chosen, decay_norm_and_bias=everything, weight_decay=0.5)
    variables = net.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    adamw.apply([keras.ops.zeros(v.shape) for v in variables])
    decayed = {v.path for v in variables if keras.ops.convert_to_numpy(v).max() < 1}
    exempt = {v.path for v in variables} - decayed
    if everything:
        assert not exempt
    else:
        spared = ("bias", "gamma", "beta", "positional_embedding/table")
        assert exempt == {v.path for v in variables if v.path.endswith(spared)} and len(exempt) > 8


def test_batches_are_a_function_of_seed_epoch_and_step():
    """A later start gives what a longer stream gives from there on: the ground of an exact resume."""
    data = split(100, 0)
    options = {"batch_size": 32, "classes": 4, "seed": 3, "transform_of": transforms(data, RANDOM, 3)}
    whole = list(train_batches(data, epochs=range(3), **options))
    late = list(train_batches(data, epochs=range(2, 3), **options))
    assert [len(x) for x, _ in late] == [32, 32, 32, 4]
    for (x, y), (late_x, late_y) in zip(whole[8:], late, strict=True):
        np.testing.assert_array_equal(x, late_x)
        np.testing.assert_array_equal(y, late_y)
    assert any((a != b).any() for (a, _), (b, _) in zip(whole[:3], whole[4:7], strict=True))


def test_every_image_is_seen_once_an_epoch():
    images = np.arange(100, dtype=np.uint8)[:, None, None, None]
    data = Examples(images, np.arange(100) % 4)
    seen = [
        (int(pixel), int(target.argmax()))
        for x, y in train_batches(data, batch_size=32, classes=4, seed=0, epochs=range(1))
        for pixel, target in zip(x.ravel(), y, strict=True)
    ]
    assert sorted(seen) == [(i, i % 4) for i in range(100)]
    assert seen != sorted(seen)


def test_progress_has_speed_and_time_left(capsys):
    train(network(), train_split=split(64, 0), val_split=split(16, 1), epochs=2, warmup_epochs=0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss ") and "examples/s" in lines[0]
    best = max(float(re.search(r"val accuracy ([0-9.]+)", line)[1]) for line in lines)
    assert lines[1].endswith("0:00 left") and re.search(rf"  best {best:.4f} in [12]  ", lines[1])


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (63, "1:03"), (3723, "1:02:03"), (59.7, "1:00")])
def test_clock(seconds, text):
    assert format_seconds(seconds) == text


class Killed(BaseException):
    pass


class Fatal(CheckpointStore):
    """Checkpoints; after the n-th of them the process dies."""

    def __init__(self, top, count: float = math.inf) -> None:
        super().__init__(top, "f" * 40)
        self.count = count

    def save(self, content, arrays) -> None:
        super().save(content, arrays)
        self.count -= 1
        if self.count == 0:
            raise Killed


# Of seven batches an epoch every third is an update, so that an interrupted epoch leaves gradients behind.
CHANGES = {
    "epochs": 3,
    "augment": RANDOM,
    "optimizer": "muon",
    "clip_norm": 0.5,
    "gradient_accumulation_steps": 3,
    "ema_decay": 0.8,
}


def random_network(seed: int = 0):
    """With every kind of random number that a model draws while it is trained."""
    keras.utils.set_random_seed(seed + SEED_SHIFT)
    params = ModelParams(name="cct_2_3x1", embed_dim=32, dropout=0.1, attention_dropout=0.1, stochastic_depth=0.5)
    return build_model(resolve_architecture(params), image_shape=(8, 8, 1), classes=4)


@pytest.fixture(scope="module")
def undisturbed():
    net = random_network()
    return train(net, **CHANGES), net.get_weights()


def check_equal(net, history, undisturbed) -> None:
    assert history == undisturbed[0]
    for found, expected in zip(net.get_weights(), undisturbed[1], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_killed_run_ends_in_the_same_bits(tmp_path, monkeypatch, undisturbed):
    """7 steps an epoch and a checkpoint after each; each start makes all anew. The last has no step left."""
    monkeypatch.setenv("CCT_CHECKPOINT_SECONDS", "0")
    kills = [1, 5, 9, 6]
    for count in kills:
        with pytest.raises(Killed), Fatal(tmp_path, count) as saved:
            train(random_network(), saved=saved, **CHANGES)
    with Fatal(tmp_path) as saved:
        content = saved.latest.content
        assert content["epoch"] * 7 + content["step"] == sum(kills) == 21
        net = random_network(seed=5)  # whatever the process starts with, the checkpoint decides
        history = train(net, saved=saved, **CHANGES)
    check_equal(net, history, undisturbed)


def test_loss_scaling_and_early_stopping_resume_too(tmp_path, monkeypatch):
    """The state of mixed_float16's optimizer, and the count of epochs without a better one."""
    monkeypatch.setenv("CCT_CHECKPOINT_SECONDS", "0")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        changes = CHANGES | {
            "epochs": 9,
            "early_stopping_patience": 1,
            "learning_rate": 1e-12,  # no weight changes in float16, so the first epoch stays the best
            "min_learning_rate": 0.0,
        }
        net = random_network()
        expected = train(net, **changes), net.get_weights()
        assert len(expected[0]) < 9
        with pytest.raises(Killed), Fatal(tmp_path, 11) as saved:
            train(random_network(), saved=saved, **changes)
        for _ in range(2):  # the second time from the last checkpoint, where nothing is left to do
            with Fatal(tmp_path) as saved:
                net = random_network(seed=5)
                check_equal(net, train(net, saved=saved, **changes), expected)
    finally:
        keras.config.set_dtype_policy("float32")


def test_an_interrupt_is_met_between_two_steps(tmp_path, monkeypatch, undisturbed):
    monkeypatch.setenv("CCT_CHECKPOINT_SECONDS", "0")
    for number, place, where in (
        (signal.SIGINT, (1, 2), "in epoch 2 after step 2"),
        (signal.SIGTERM, (2, 0), "after epoch 2"),
    ):

        class Asked(CheckpointStore):
            def save(self, content, arrays, number=number, place=place) -> None:
                if (content["epoch"], content["step"]) == place:
                    os.kill(os.getpid(), number)
                super().save(content, arrays)

        handler = signal.getsignal(number)
        with (
            pytest.raises(KeyboardInterrupt, match=f"^{where}; the same command resumes there$"),
            Asked(tmp_path, "f" * 40) as saved,
        ):
            train(random_network(), saved=saved, **CHANGES)
        assert signal.getsignal(number) is handler
        with CheckpointStore(tmp_path, "f" * 40) as saved:
            assert (saved.latest.content["epoch"], saved.latest.content["step"]) == place
    seen = []
    with CheckpointStore(tmp_path, "f" * 40) as saved:
        net = random_network()
        history = train(net, saved=saved, on_epoch=seen.append, **CHANGES)
    check_equal(net, history, undisturbed)
    assert [row["epoch"] for row in seen] == [3]  # only what is new


def test_the_second_interrupt_is_at_once():
    def twice(row) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    with pytest.raises(KeyboardInterrupt):
        train(network(), on_epoch=twice)
