"""The state of a training: written while it runs, put back when it resumes."""

import math
import threading
import time
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from cct.training.callbacks import BestWeights
from cct.training.checkpoints import CheckpointStore
from cct.training.variables import assign_variables, training_variables


class Progress(NamedTuple):
    """How far a training is."""

    epoch: int  # epochs that are finished
    step: int  # steps of the next epoch that are finished
    history: list[dict[str, float]]  # a row for each finished epoch
    stopped: bool  # by early stopping
    metrics: list[np.ndarray]  # the metrics' variables within an epoch, or none


def restore(model: keras.Model, best: BestWeights, store: CheckpointStore | None, example: tuple) -> Progress:
    """Put the latest checkpoint into a compiled model and `best`.

    Args:
        model: whose variables are set; as it is if there is no checkpoint.
        best: likewise.
        store: of the checkpoints.
        example: a batch of one, on which the model makes its metrics' variables.

    Returns:
        Where the training resumes.
    """
    if store is None or store.latest is None:
        return Progress(0, 0, [], False, [])
    content, arrays = store.latest
    best.epoch, best.accuracy = content["best"]["epoch"], content["best"]["accuracy"]
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
        store: where they go; None writes none.
        best: the best weights so far, a part of the state.
        history: the rows so far, likewise.
        steps: in an epoch.
        first_step: at which the first epoch begins.
        asked: set when the run is to stop.
    """

    def __init__(
        self,
        store: CheckpointStore | None,
        *,
        best: BestWeights,
        history: list[dict],
        steps: int,
        first_step: int,
        asked: threading.Event,
    ) -> None:
        super().__init__()
        self.store, self.best, self.history, self.asked = store, best, history, asked
        self.steps, self.first_step = steps, first_step
        self.interval = store.interval if store is not None else math.inf
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
            raise KeyboardInterrupt(where + ("; the same command resumes there" if self.store is not None else ""))

    def _save(self, epoch: int, step: int) -> None:
        if self.store is not None:
            model = self.model  # on JAX this brings the variables up to date
            content: dict[str, Any] = {
                "epoch": epoch,
                "step": step,
                "history": self.history,
                "best": {"epoch": self.best.epoch, "accuracy": self.best.accuracy},
                "stopped": bool(model.stop_training),
            }
            # Within an epoch the metrics are part of the state; at its end Keras starts them anew.
            groups = training_variables(model, metrics=step > 0)
            arrays = {name: [ops.convert_to_numpy(v) for v in group] for name, group in groups.items()}
            self.store.save(content, arrays | {"best": self.best.weights})
        self.saved = time.monotonic()


class RestoreMetrics(keras.callbacks.Callback):
    """Puts metrics back at the start of the first epoch, which Keras begins by clearing them."""

    def __init__(self, metrics: list[np.ndarray]) -> None:
        super().__init__()
        self.metrics = metrics

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if self.metrics:
            assign_variables(self.model.metrics_variables, self.metrics)
            self.metrics = []
