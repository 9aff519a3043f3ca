"""Keras callbacks of a training: best weights, non-finite losses, progress, history."""

import logging
import math
import time
from collections.abc import Callable

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from cct.errors import CCTError
from cct.training.batches import EvalBatches
from cct.training.history import history_row
from cct.training.metrics import reported_name
from cct.training.variables import assign_variables

log = logging.getLogger(__name__)

LOSS = reported_name("loss")


class TrainingError(CCTError):
    """A training cannot continue."""


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights with the best validation accuracy. On a tie, the lower loss wins, then the earlier epoch.

    Small validation splits often tie, at 100 % above all, long before the training has converged.

    Args:
        validation: batches for the evaluation of averaged weights, logged as `ema_val_accuracy` and so on. None: no
            weights are averaged.
        patience: training stops after this number of epochs without a better one. None: it never stops early.
    """

    def __init__(self, validation: EvalBatches | None, patience: int | None) -> None:
        super().__init__()
        self.validation, self.patience = validation, patience
        self.accuracy, self.loss, self.epoch, self.weights = -1.0, 0.0, 0, []

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        self._consider(epoch, logs["val_accuracy"], logs[f"val_{LOSS}"])
        if self.validation is not None:
            raw = [ops.convert_to_numpy(variable) for variable in self.model.trainable_variables]
            inner = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)  # loss scaling wraps it
            inner.use_averages(self.model.trainable_variables)
            results = self.model.evaluate(self.validation, verbose=0, return_dict=True)
            logs.update({f"ema_val_{name}": value for name, value in results.items()})
            self._consider(epoch, results["accuracy"], results[LOSS])
            assign_variables(self.model.trainable_variables, raw)
        if self.patience is not None and epoch - self.epoch >= self.patience:
            self.model.stop_training = True

    def _consider(self, epoch: int, accuracy: float, loss: float) -> None:
        if (accuracy, -loss) > (self.accuracy, -self.loss):
            self.accuracy, self.loss, self.epoch = accuracy, loss, epoch
            self.weights = self.model.get_weights()


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Stops the training when the loss is not finite. The message says what to try."""

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


class ProgressLogger(keras.callbacks.Callback):
    """Logs a line per epoch with speed, time left and the best epoch so far. A terminal also gets a progress bar.

    The rest of an interrupted epoch says nothing of the time left.

    Args:
        epochs: epochs of the whole training.
        examples: examples in an epoch.
        steps: steps in an epoch.
        first_step: the step at which the first epoch begins.
        best: the best weights so far.
    """

    def __init__(
        self,
        *,
        epochs: int,
        examples: int,
        steps: int,
        first_step: int,
        best: BestWeights,
    ) -> None:
        super().__init__()
        self.epochs, self.examples, self.steps, self.first_step = epochs, examples, steps, first_step
        self.best = best
        self.seconds: list[float] = []  # of each whole epoch

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.start = time.perf_counter()
        # disable=None: no bar if the output is not a terminal.
        self.bar = tqdm(total=self.steps, desc=f"epoch {epoch + 1}/{self.epochs}", leave=False, disable=None)
        self.bar.update(self.first_step)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.bar.update()
        self.trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        self.bar.close()
        share, self.first_step = 1 - self.first_step / self.steps, 0
        if share == 1:
            self.seconds.append(time.perf_counter() - self.start)
        # The first epoch includes compilation. The forecast leaves it out as soon as there is another epoch.
        whole = self.seconds[1:] or self.seconds
        left = f"  {format_seconds(float(np.median(whole)) * (self.epochs - epoch - 1))} left" if whole else ""
        averaged = f" (averaged {logs['ema_val_accuracy']:.4f})" if "ema_val_accuracy" in logs else ""
        log.info(
            f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"
            f"  loss {logs[LOSS]:.4f}  accuracy {logs['accuracy']:.4f}"
            f"  val loss {logs[f'val_{LOSS}']:.4f}  val accuracy {logs['val_accuracy']:.4f}{averaged}"
            f"  best {self.best.accuracy:.4f} in {self.best.epoch + 1}"
            f"  {self.examples * share / (self.trained - self.start):,.0f} examples/s"
            f"{left}"
        )


class HistoryLogger(keras.callbacks.Callback):
    """Adds a row to the history after each epoch, and gives the row to `on_epoch`.

    Args:
        rates: the learning rate of each epoch's last step, (epochs,).
        history: the rows so far. New rows are appended to it.
        on_epoch: gets each new row.
    """

    def __init__(self, rates: np.ndarray, history: list[dict], on_epoch: Callable[[dict[str, float]], None]) -> None:
        super().__init__()
        self.rates, self.on_epoch, self.history = rates, on_epoch, history

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        row = history_row(epoch + 1, logs, rate=float(self.rates[epoch]))
        self.history.append(row)
        self.on_epoch(row)


def format_seconds(seconds: float) -> str:
    """`3723` as `1:02:03`, `63` as `1:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
