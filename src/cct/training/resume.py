"""Writes checkpoints while a training runs, and restores them when it resumes."""

import math
import time
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from cct.training.callbacks import BestWeights
from cct.training.checkpoints import CheckpointStore
from cct.training.interrupts import StopRequest
from cct.training.variables import assign_variables, training_variables


class Progress(NamedTuple):
    """The progress of a training."""

    epoch: int  # finished epochs
    step: int  # finished steps of the next epoch
    history: list[dict[str, float]]  # a row for each finished epoch
    stopped: bool  # by early stopping
    metrics: list[np.ndarray]  # the metrics' variables within an epoch; empty between epochs


def restore(model: keras.Model, best: BestWeights, store: CheckpointStore | None, example: tuple) -> Progress:
    """Put the latest checkpoint into a compiled model and `best`.

    Args:
        model: the compiled model; unchanged if there is no checkpoint.
        best: the best weights so far; also unchanged then.
        store: the store of the checkpoints.
        example: a batch of one; with it the model makes its metrics' variables.

    Returns:
        The progress at which the training resumes.
    """
    if store is None or store.latest is None:
        return Progress(0, 0, [], False, [])
    content, arrays = store.latest
    best.epoch, best.accuracy, best.loss = (content["best"][name] for name in ("epoch", "accuracy", "loss"))
    best.weights = arrays["best"]
    if arrays["metrics"]:  # Keras makes the metrics' variables at their first use
        model.test_on_batch(*example)
    variables = training_variables(model, metrics=False)
    assign_variables(variables["model"], arrays["model"])
    assign_variables(variables["optimizer"], arrays["optimizer"])
    return Progress(content["epoch"], content["step"], content["history"], content["stopped"], arrays["metrics"])


class CheckpointCallback(keras.callbacks.Callback):
    """Writes a checkpoint after every epoch, at intervals within long ones, and when the run is asked to stop.

    Args:
        store: the store of the checkpoints. None: none is written.
        best: the best weights so far, a part of the checkpoint.
        history: the rows so far, also a part of it.
        steps: steps in an epoch.
        first_step: the step at which the first epoch begins.
        stop_requested: set when the run is to stop.
    """

    def __init__(
        self,
        store: CheckpointStore | None,
        *,
        best: BestWeights,
        history: list[dict],
        steps: int,
        first_step: int,
        stop_requested: StopRequest,
    ) -> None:
        super().__init__()
        self.store, self.best, self.history, self.stop_requested = store, best, history, stop_requested
        self.steps, self.first_step = steps, first_step
        self.interval = store.interval if store is not None else math.inf
        self.saved, self.written = time.monotonic(), False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        step = self.first_step + batch + 1
        if step < self.steps and (self.stop_requested.is_set() or time.monotonic() - self.saved >= self.interval):
            self._save(self.epoch, step)
            self._stop(f"in epoch {self.epoch + 1} after step {step}")

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        self.first_step = 0
        self._save(epoch + 1, 0)
        self._stop(f"after epoch {epoch + 1}")

    def _stop(self, where: str) -> None:
        if self.stop_requested.is_set():
            raise KeyboardInterrupt(where + ("; the same command resumes there" if self.written else ""))

    def _save(self, epoch: int, step: int) -> None:
        if self.store is not None:
            model = self.model  # on JAX, reading this attribute updates the variables
            content: dict[str, Any] = {
                "epoch": epoch,
                "step": step,
                "history": self.history,
                "best": {"epoch": self.best.epoch, "accuracy": self.best.accuracy, "loss": self.best.loss},
                "stopped": bool(model.stop_training),
            }
            # Within an epoch the metrics are part of the checkpoint. At its end Keras resets them.
            groups = training_variables(model, metrics=step > 0)
            arrays = {name: [ops.convert_to_numpy(v) for v in group] for name, group in groups.items()}
            self.written = self.store.save(content, arrays | {"best": self.best.weights})
        self.saved = time.monotonic()


class RestoreMetrics(keras.callbacks.Callback):
    """Restores the metrics at the start of the first epoch, because Keras clears them there."""

    def __init__(self, metrics: list[np.ndarray]) -> None:
        super().__init__()
        self.metrics = metrics

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if self.metrics:
            assign_variables(self.model.metrics_variables, self.metrics)
            self.metrics = []
