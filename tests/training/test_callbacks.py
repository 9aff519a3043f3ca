"""The callbacks after each epoch."""

import re

import keras
import numpy as np
import pytest
from trainings import network, split, train

from cct.training.batches import EvalBatches, Examples
from cct.training.callbacks import LOSS, BestWeights, ProgressLogger, TrainingError, format_seconds

pytestmark = pytest.mark.usefixtures("deterministic")


@pytest.mark.parametrize(
    ("accuracies", "losses", "expected"),
    [
        ([0.5, 0.7, 0.6], [0.9, 0.8, 0.1], 1),
        ([0.5, 1.0, 1.0, 1.0], [0.9, 0.8, 0.1, 0.2], 2),  # the loss of a small split still tells them apart
        ([0.5, 0.7, 0.7], [0.9, 0.8, 0.8], 1),
    ],
)
def test_the_best_epoch_has_the_best_accuracy_then_the_lowest_loss_then_is_the_first(accuracies, losses, expected):
    best = BestWeights(None, None)
    best.set_model(network())
    for epoch, (accuracy, loss) in enumerate(zip(accuracies, losses, strict=True)):
        best.on_epoch_end(epoch, {"val_accuracy": accuracy, f"val_{LOSS}": loss})
    assert (best.epoch, best.accuracy, best.loss) == (expected, accuracies[expected], losses[expected])


def test_early_stopping_counts_epochs_without_a_better_one():
    best = BestWeights(None, patience=2)
    net, stopped = network(), []
    net.stop_training = False  # as `fit` sets it
    best.set_model(net)
    for epoch, accuracy in enumerate([0.5, 0.4, 0.6, 0.6, 0.5]):
        best.on_epoch_end(epoch, {"val_accuracy": accuracy, f"val_{LOSS}": 1.0})
        stopped.append(net.stop_training)
    assert stopped == [False, False, False, False, True]


def test_a_loss_that_is_no_number_stops_with_advice():
    net = network()
    net.get_layer("head").bias.assign([np.nan] * 4)
    with pytest.raises(TrainingError, match=r"nan in epoch 1\. Try a lower train\.learning_rate"):
        train(net)


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
    metrics = [keras.metrics.CategoricalAccuracy(name="accuracy"), keras.metrics.CategoricalCrossentropy(name=LOSS)]
    model.compile(loss="categorical_crossentropy", metrics=metrics)
    model.set_weights([raw])
    model.optimizer = Averages(averages)
    best = BestWeights(EvalBatches(Examples(right, np.arange(4)), batch_size=3, classes=4), None)
    best.set_model(model)
    logs = {"val_accuracy": float(not averages_are_right), f"val_{LOSS}": 1.0}
    best.on_epoch_end(0, logs)
    assert logs["ema_val_accuracy"] == float(averages_are_right) and "ema_val_loss" in logs
    assert best.accuracy == 1.0
    np.testing.assert_array_equal(best.weights[0], right)
    np.testing.assert_array_equal(model.get_weights()[0], raw)  # training continues with them


def test_progress_has_speed_and_time_left(capsys):
    train(network(), train_split=split(64, 0), val_split=split(16, 1), epochs=2, warmup_epochs=0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss ") and "examples/s" in lines[0]
    best = max(float(re.search(r"val accuracy ([0-9.]+)", line)[1]) for line in lines)
    assert lines[1].endswith("0:00 left") and re.search(rf"  best {best:.4f} in [12]  ", lines[1])


def test_the_rest_of_an_epoch_says_nothing_of_the_time_left(caplog):
    """It has the compilation in it, and perhaps a single step."""
    progress = ProgressLogger(epochs=3, examples=100, steps=50, first_step=49, best=BestWeights(None, None))
    logs = {LOSS: 1.0, "accuracy": 0.5, f"val_{LOSS}": 1.0, "val_accuracy": 0.5}
    for epoch in (0, 1):
        progress.on_epoch_begin(epoch)
        progress.on_train_batch_end(0)
        progress.on_epoch_end(epoch, logs)
    first, second = (record.getMessage() for record in caplog.records)
    assert first.endswith("examples/s") and second.endswith(" left")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (63, "1:03"), (3723, "1:02:03"), (59.7, "1:00")])
def test_clock(seconds, text):
    assert format_seconds(seconds) == text
