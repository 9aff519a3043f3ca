"""Training: a model and arrays in, a history out. Knows neither files nor trackers."""

import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from cct import augment as augmentation
from cct.errors import CCTError
from cct.recipe import AugmentParams, TrainParams, learning_rate


class TrainingError(CCTError):
    """Training cannot go on."""


class Split(NamedTuple):
    """Pictures and their labels, in memory or memory-mapped."""

    images: np.ndarray  # (n, h, w, c) uint8
    labels: np.ndarray  # (n,) integers


class Slices(keras.utils.PyDataset):
    """The pictures of a split in their order, with one-hot targets."""

    def __init__(self, split: Split, *, batch_size: int, classes: int) -> None:
        super().__init__()
        self.split, self.batch_size, self.targets = split, batch_size, np.eye(classes, dtype="float32")

    def __len__(self) -> int:
        return math.ceil(len(self.split.labels) / self.batch_size)

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(step * self.batch_size, (step + 1) * self.batch_size)
        return np.asarray(self.split.images[part]), self.targets[self.split.labels[part]]


def batches(
    split: Split, *, batch_size: int, classes: int, augment: AugmentParams, seed: int, epochs: range
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shuffled, augmented batches of all `epochs`, one after another; the last of each epoch may be smaller.

    One stream for all epochs, each batch a function of (seed, epoch, step): how far a backend reads ahead is no matter.
    """
    count, targets = len(split.labels), np.eye(classes, dtype="float32")
    for epoch in epochs:
        order = augmentation.stream(seed, epoch, augmentation.ORDER).permutation(count)
        draws = augmentation.draw(augment, seed=seed, epoch=epoch, count=count)
        for start in range(0, count, batch_size):
            chosen = order[start : start + batch_size]
            images = augmentation.apply(
                split.images[chosen],
                augmentation.Draws(*(drawn[chosen] for drawn in draws)),
                padding=augment.crop_padding,
            )
            yield images, targets[split.labels[chosen]]


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """`cct.recipe.learning_rate` at each step."""

    def __init__(self, train: TrainParams, steps_per_epoch: int) -> None:
        self.train, self.steps_per_epoch = train, steps_per_epoch

    def __call__(self, step):
        return learning_rate(self.train, ops.cast(step, "float32") / self.steps_per_epoch, ops)


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the best validation accuracy, the first of equals, and puts them back."""

    def __init__(self, patience: int | None) -> None:
        super().__init__()
        self.patience, self.accuracy, self.epoch, self.weights = patience, -1.0, 0, None

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        if logs["val_accuracy"] > self.accuracy:
            self.accuracy, self.epoch, self.weights = logs["val_accuracy"], epoch, self.model.get_weights()
        elif self.patience is not None and epoch - self.epoch >= self.patience:
            self.model.stop_training = True

    def on_train_end(self, logs: dict | None = None) -> None:
        self.model.set_weights(self.weights)


class Guard(keras.callbacks.Callback):
    """Stops at a loss that is not a number, with what to try."""

    def __init__(self, every: int = 50) -> None:
        super().__init__()
        self.every, self.epoch = every, 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if batch % self.every == 0:  # reading a loss waits for the device
            self._check(float(logs["loss"]))

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        self._check(float(logs["loss"]))

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} in epoch {self.epoch + 1}. Try a lower train.learning_rate, more "
                "train.warmup_epochs, or runtime.precision float32."
            )


class Progress(keras.callbacks.Callback):
    """A line an epoch, with speed and time left; on a terminal a bar within the epoch too."""

    def __init__(self, *, epochs: int, images: int, steps: int, say: Callable[[str], None] = print) -> None:
        super().__init__()
        self.epochs, self.images, self.steps, self.say = epochs, images, steps, say

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.start = time.perf_counter()
        # disable=None: no bar where the output is not a terminal.
        self.bar = tqdm(total=self.steps, desc=f"epoch {epoch + 1}/{self.epochs}", leave=False, disable=None)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.bar.update()
        self.trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        self.bar.close()
        self.seconds.append(time.perf_counter() - self.start)
        # The first epoch compiles; leave it out of the forecast as soon as there is another.
        typical = float(np.median(self.seconds[1:] or self.seconds))
        self.say(
            f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"
            f"  loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}"
            f"  val loss {logs['val_loss']:.4f}  val accuracy {logs['val_accuracy']:.4f}"
            f"  {self.images / (self.trained - self.start):,.0f} images/s"
            f"  {clock(typical * (self.epochs - epoch - 1))} left"
        )


class Recorder(keras.callbacks.Callback):
    """Collects the history and passes each row on."""

    def __init__(self, recipe: TrainParams, on_epoch: Callable[[dict[str, float]], None]) -> None:
        super().__init__()
        self.recipe, self.on_epoch, self.rows = recipe, on_epoch, []

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        row = {
            "epoch": epoch + 1,
            "train_loss": float(logs["loss"]),
            "train_accuracy": float(logs["accuracy"]),
            "val_loss": float(logs["val_loss"]),
            "val_accuracy": float(logs["val_accuracy"]),
            "learning_rate": float(learning_rate(self.recipe, epoch + 1)),
        }
        self.rows.append(row)
        self.on_epoch(row)


def clock(seconds: float) -> str:
    """`3723` as `1:02:03`, `63` as `1:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def optimizer(model: keras.Model, train: TrainParams, *, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """AdamW; norms, biases and positions are not decayed unless the recipe says so."""
    adamw = keras.optimizers.AdamW(Schedule(train, steps_per_epoch), weight_decay=train.weight_decay)
    if not train.decay_everything:
        adamw.exclude_from_weight_decay(
            var_list=[v for v in model.trainable_variables if len(v.shape) < 2 or v.path.startswith("positions/")]
        )
    return adamw


def train(
    model: keras.Model,
    training: Split,
    validation: Split,
    *,
    recipe: TrainParams,
    augment: AugmentParams,
    jit_compile: bool,
    on_epoch: Callable[[dict[str, float]], None] = lambda row: None,
    say: Callable[[str], None] = print,
) -> list[dict[str, float]]:
    """Train `model` in place; it ends with the weights of its best epoch on `validation`.

    Args:
        on_epoch: gets each epoch's row of the history, without `chosen`, as soon as it is known.
        say: gets the progress, line by line.

    Returns:
        A row for each epoch, with the columns of `cct.tables.HISTORY`.

    Raises:
        TrainingError: the loss is no longer a number.
    """
    classes = model.output_shape[-1]
    steps = math.ceil(len(training.labels) / recipe.batch_size)
    model.compile(
        optimizer(model, recipe, steps_per_epoch=steps),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=jit_compile,
    )
    best, recorder = BestEpoch(recipe.early_stopping), Recorder(recipe, on_epoch)
    progress = Progress(epochs=recipe.epochs, images=len(training.labels), steps=steps, say=say)
    model.fit(
        batches(
            training,
            batch_size=recipe.batch_size,
            classes=classes,
            augment=augment,
            seed=recipe.seed,
            epochs=range(recipe.epochs),
        ),
        epochs=recipe.epochs,
        steps_per_epoch=steps,
        validation_data=Slices(validation, batch_size=recipe.batch_size, classes=classes),
        callbacks=[Guard(), progress, best, recorder],
        shuffle=False,  # the batches are
        verbose=0,
    )
    return [{**row, "chosen": int(row["epoch"] == best.epoch + 1)} for row in recorder.rows]
