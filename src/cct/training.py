"""Training: a model and arrays in, a history out. Knows neither files nor trackers."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from cct import augment as augmentation
from cct.errors import CCTError
from cct.recipe import AugmentParams, TrainParams, learning_rate
from cct.states import States


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
    split: Split,
    *,
    batch_size: int,
    classes: int,
    augment: AugmentParams,
    seed: int,
    epochs: range,
    first_step: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shuffled, augmented batches of all `epochs`, one after another; the last of each epoch may be smaller.

    One stream for all epochs, each batch a function of (seed, epoch, step): how far a backend reads ahead is no matter.
    The first epoch begins at `first_step`.
    """
    count, targets = len(split.labels), np.eye(classes, dtype="float32")
    for epoch in epochs:
        order = augmentation.stream(seed, epoch, augmentation.ORDER).permutation(count)
        draws = augmentation.draw(augment, seed=seed, epoch=epoch, shape=split.images.shape)
        first = first_step * batch_size if epoch == epochs.start else 0
        for start in range(first, count, batch_size):
            chosen = order[start : start + batch_size]
            yield augmentation.apply(split.images[chosen], targets[split.labels[chosen]], draws.take(chosen))


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """`cct.recipe.learning_rate` at each step."""

    def __init__(self, train: TrainParams, steps_per_epoch: int) -> None:
        self.train, self.steps_per_epoch = train, steps_per_epoch

    def __call__(self, step):
        return learning_rate(self.train, ops.cast(step, "float32") / self.steps_per_epoch, ops)


class _RawAndAveraged:
    """What leaves a model its raw weights beside the averages that its optimizer keeps."""

    def finalize_variable_values(self, var_list: list) -> None:
        """Nothing: `fit` ends with this, and the averages would take the weights' place. See `use_averages`."""

    def use_averages(self, variables: list) -> None:
        """Put the averages into the model's trainable variables."""
        super().finalize_variable_values(variables)


class AdamW(_RawAndAveraged, keras.optimizers.AdamW):
    pass


class Muon(_RawAndAveraged, keras.optimizers.Muon):
    pass


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights with the best validation accuracy, the first of equals, of an epoch the raw ones first.

    Args:
        validation: on which averaged weights are evaluated too, as `ema_val_loss` and `ema_val_accuracy`; None where
            there are none.
        patience: epochs without a better one after which training stops.
    """

    def __init__(self, validation: Slices | None, patience: int | None) -> None:
        super().__init__()
        self.validation, self.patience = validation, patience
        self.accuracy, self.epoch, self.weights = -1.0, 0, []

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        self._consider(epoch, logs["val_accuracy"])
        if self.validation is not None:
            raw = [ops.convert_to_numpy(variable) for variable in self.model.trainable_variables]
            inner = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)  # loss scaling wraps it
            inner.use_averages(self.model.trainable_variables)
            results = self.model.evaluate(self.validation, verbose=0, return_dict=True)
            logs.update({f"ema_val_{name}": value for name, value in results.items()})
            self._consider(epoch, results["accuracy"])
            _assign(self.model.trainable_variables, raw)
        if self.patience is not None and epoch - self.epoch >= self.patience:
            self.model.stop_training = True

    def _consider(self, epoch: int, accuracy: float) -> None:
        if accuracy > self.accuracy:
            self.accuracy, self.epoch, self.weights = accuracy, epoch, self.model.get_weights()


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
    """A line an epoch, with speed, time left and the best so far; on a terminal a bar within the epoch too."""

    def __init__(
        self,
        *,
        epochs: int,
        images: int,
        steps: int,
        first_step: int,
        best: BestEpoch,
        say: Callable[[str], None] = print,
    ) -> None:
        super().__init__()
        self.epochs, self.images, self.steps, self.first_step, self.say = epochs, images, steps, first_step, say
        self.best = best
        self.seconds: list[float] = []  # of each epoch, in proportion where only a part of it was left

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.start = time.perf_counter()
        # disable=None: no bar where the output is not a terminal.
        self.bar = tqdm(total=self.steps, desc=f"epoch {epoch + 1}/{self.epochs}", leave=False, disable=None)
        self.bar.update(self.first_step)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.bar.update()
        self.trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        self.bar.close()
        share, self.first_step = 1 - self.first_step / self.steps, 0
        self.seconds.append((time.perf_counter() - self.start) / share)
        # The first epoch compiles; leave it out of the forecast as soon as there is another.
        typical = float(np.median(self.seconds[1:] or self.seconds))
        averaged = f" (averaged {logs['ema_val_accuracy']:.4f})" if "ema_val_accuracy" in logs else ""
        self.say(
            f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"
            f"  loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}"
            f"  val loss {logs['val_loss']:.4f}  val accuracy {logs['val_accuracy']:.4f}{averaged}"
            f"  best {self.best.accuracy:.4f} in {self.best.epoch + 1}"
            f"  {self.images * share / (self.trained - self.start):,.0f} images/s"
            f"  {clock(typical * (self.epochs - epoch - 1))} left"
        )


class Recorder(keras.callbacks.Callback):
    """Adds to the history and passes each new row on."""

    def __init__(self, recipe: TrainParams, rows: list[dict], on_epoch: Callable[[dict[str, float]], None]) -> None:
        super().__init__()
        self.recipe, self.on_epoch, self.rows = recipe, on_epoch, rows

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        row = {
            "epoch": epoch + 1,
            "train_loss": float(logs["loss"]),
            "train_accuracy": float(logs["accuracy"]),
            "val_loss": float(logs["val_loss"]),
            "val_accuracy": float(logs["val_accuracy"]),
            "learning_rate": float(learning_rate(self.recipe, epoch + 1)),
        }
        row |= {name: float(value) for name, value in logs.items() if name.startswith("ema_")}
        self.rows.append(row)
        self.on_epoch(row)


class Saver(keras.callbacks.Callback):
    """Writes the state after every epoch, within long ones at intervals, and when the run is asked to stop."""

    def __init__(
        self,
        states: States | None,
        *,
        best: BestEpoch,
        rows: list[dict],
        steps: int,
        first_step: int,
        asked: threading.Event,
    ) -> None:
        super().__init__()
        self.states, self.best, self.rows, self.asked = states, best, rows, asked
        self.steps, self.first_step = steps, first_step
        self.interval = states.interval if states is not None else math.inf
        self.saved = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        step = self.first_step + batch + 1
        if step < self.steps and (self.asked.is_set() or time.monotonic() - self.saved >= self.interval):
            self._save(self.epoch, step)
            self._stop(f"in epoch {self.epoch + 1} after step {step}")

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        self.first_step = 0
        self._save(epoch + 1, 0)
        self._stop(f"after epoch {epoch + 1}")

    def _stop(self, where: str) -> None:
        if self.asked.is_set():
            way = "; the same command goes on from there" if self.states is not None else ""
            raise KeyboardInterrupt(where + way)

    def _save(self, epoch: int, step: int) -> None:
        if self.states is not None:
            model = self.model  # on JAX this brings the variables up to date
            content = {
                "epoch": epoch,
                "step": step,
                "history": self.rows,
                "best": {"epoch": self.best.epoch, "accuracy": self.best.accuracy},
                "stopped": bool(model.stop_training),
            }
            # Within an epoch the metrics are part of the state; at its end Keras starts them anew.
            groups = _variables(model, metrics=step > 0)
            arrays = {name: [ops.convert_to_numpy(v) for v in group] for name, group in groups.items()}
            self.states.save(content, arrays | {"best": self.best.weights})
        self.saved = time.monotonic()


def _variables(model: keras.Model, *, metrics: bool) -> dict[str, list]:
    """All that training changes. The model's include the states of its random number generators."""
    return {
        "model": list(model.variables),
        "optimizer": list(model.optimizer.variables),
        "metrics": list(model.metrics_variables) if metrics else [],
    }


class Restore(keras.callbacks.Callback):
    """Puts metrics back at the start of the first epoch, which Keras begins by clearing them."""

    def __init__(self, metrics: list[np.ndarray]) -> None:
        super().__init__()
        self.metrics = metrics

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if self.metrics:
            _assign(self.model.metrics_variables, self.metrics)
            self.metrics = []


def _assign(variables: list, values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextlib.contextmanager
def polite_interrupts(say: Callable[[str], None]) -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a request, which training meets between two steps; the second is at once.

    An exception out of the middle of a step would leave a state that is neither the one before nor the one after it.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield asked
        return

    def ask(number: int, frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        say("stopping after this step (once more: at once, and back to the last state on disk)")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def clock(seconds: float) -> str:
    """`3723` as `1:02:03`, `63` as `1:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def optimizer(model: keras.Model, train: TrainParams, *, steps_per_epoch: int) -> AdamW | Muon:
    """The recipe's optimizer; norms, biases and positions are not decayed unless it says so.

    Muon (Jordan et al., 2024; scaled as in Liu et al., arXiv:2502.16982, so that rates and decay are AdamW's) is for
    the matrices of the encoder; convolutions, vectors, positions and head have AdamW.

    Args:
        steps_per_epoch: batches in an epoch, however many of them make one update.
    """
    batches_per_update = train.accumulation_steps
    options = {
        "learning_rate": Schedule(train, steps_per_epoch),
        "weight_decay": train.weight_decay,
        "global_clipnorm": train.clip_norm,
        "gradient_accumulation_steps": batches_per_update if batches_per_update > 1 else None,
        "use_ema": train.ema_decay is not None,
        # Keras averages after every batch, whether or not it brought an update.
        "ema_momentum": (train.ema_decay or 0.0) ** (1 / batches_per_update),
    }
    if train.optimizer == "adamw":
        chosen = AdamW(**options)
    else:
        chosen = Muon(**options, adam_weight_decay=train.weight_decay, exclude_layers=["^(?!encoder_)"])
    if not train.decay_everything:
        chosen.exclude_from_weight_decay(
            var_list=[v for v in model.trainable_variables if len(v.shape) < 2 or v.path.startswith("positions/")]
        )
    return chosen


def train(
    model: keras.Model,
    training: Split,
    validation: Split,
    *,
    recipe: TrainParams,
    augment: AugmentParams,
    jit_compile: bool,
    states: States | None = None,
    on_epoch: Callable[[dict[str, float]], None] = lambda row: None,
    say: Callable[[str], None] = print,
) -> list[dict[str, float]]:
    """Train `model` in place; it ends with its best weights on `validation`, raw or averaged.

    Args:
        states: where the state of the run is kept, and from where it goes on. A run that goes on ends in the same bits
            as one that was never interrupted.
        on_epoch: gets each new epoch's row of the history, without `chosen`, as soon as it is known.
        say: gets the progress, line by line.

    Returns:
        A row for each epoch, with the columns of `cct.tables.HISTORY`.

    Raises:
        TrainingError: the loss is no longer a number, or there are too few batches for a single update.
        KeyboardInterrupt: the run was asked to stop; its state is written, and the message says where it stopped.
    """
    classes, batch_size = model.output_shape[-1], recipe.batch_size
    steps = math.ceil(len(training.labels) / batch_size)
    if steps * recipe.epochs < recipe.accumulation_steps:
        raise TrainingError(
            f"train.accumulation_steps = {recipe.accumulation_steps} is more than the {steps * recipe.epochs} batches "
            f"of all {recipe.epochs} epochs, so that the weights would never change: lower it, or train.batch_size"
        )
    model.compile(
        optimizer(model, recipe, steps_per_epoch=steps),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=jit_compile,
    )
    # Else TensorFlow traces the first step twice, once to find out that the optimizer makes variables in it.
    model.optimizer.build(model.trainable_variables)
    slices = Slices(validation, batch_size=batch_size, classes=classes)
    best = BestEpoch(slices if recipe.ema_decay is not None else None, recipe.early_stopping)
    epoch, first_step, rows, stopped, metrics = 0, 0, [], False, []
    if states is not None and states.latest is not None:
        content, arrays = states.latest
        epoch, first_step, rows = content["epoch"], content["step"], content["history"]
        stopped, metrics = content["stopped"], arrays["metrics"]
        best.epoch, best.accuracy, best.weights = content["best"]["epoch"], content["best"]["accuracy"], arrays["best"]
        if metrics:  # they are made by their first use
            model.test_on_batch(*Slices(validation, batch_size=1, classes=classes)[0])
        variables = _variables(model, metrics=False)
        _assign(variables["model"], arrays["model"])
        _assign(variables["optimizer"], arrays["optimizer"])
    images = len(training.labels)
    progress = Progress(epochs=recipe.epochs, images=images, steps=steps, first_step=first_step, best=best, say=say)
    with polite_interrupts(say) as asked:
        saver = Saver(states, best=best, rows=rows, steps=steps, first_step=first_step, asked=asked)
        callbacks = [Restore(metrics), Guard(), best, progress, Recorder(recipe, rows, on_epoch), saver]
        while epoch < recipe.epochs and not stopped:
            # What is left of an epoch is an epoch of fewer steps to Keras, and needs a `fit` of its own.
            end = epoch + 1 if first_step else recipe.epochs
            stream = batches(
                training,
                batch_size=batch_size,
                classes=classes,
                augment=augment,
                seed=recipe.seed,
                epochs=range(epoch, end),
                first_step=first_step,
            )
            model.fit(
                stream,
                initial_epoch=epoch,
                epochs=end,
                steps_per_epoch=steps - first_step,
                validation_data=slices,
                callbacks=callbacks,
                shuffle=False,  # the batches are
                verbose=0,
            )
            epoch, first_step, stopped = end, 0, model.stop_training
    model.set_weights(best.weights)
    return [{**row, "chosen": int(row["epoch"] == best.epoch + 1)} for row in rows]
