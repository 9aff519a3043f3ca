"""The state of a training: written while it runs, put back when it resumes."""

import math
import threading
import time

import keras
import numpy as np
from keras import ops

from cct.training.callbacks import BestWeights
from cct.training.checkpoints import CheckpointStore
from cct.training.variables import assign_variables, training_variables


class CheckpointCallback(keras.callbacks.Callback):
    """Writes the state after every epoch, within long ones at intervals, and when the run is asked to stop."""

    def __init__(
        self,
        states: CheckpointStore | None,
        *,
        best: BestWeights,
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
            groups = training_variables(model, metrics=step > 0)
            arrays = {name: [ops.convert_to_numpy(v) for v in group] for name, group in groups.items()}
            self.states.save(content, arrays | {"best": self.best.weights})
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
