"""Trains a model on examples and returns its history. It uses no files or trackers, and takes any kind of example."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from cct.training.batches import EvalBatches, Examples, Transform, no_transform, read_ahead, train_batches
from cct.training.callbacks import BestWeights, HistoryLogger, ProgressLogger, StopOnNonFiniteLoss, TrainingError
from cct.training.checkpoints import CheckpointStore
from cct.training.class_weights import class_weights
from cct.training.interrupts import deferred_interrupts
from cct.training.metrics import EPOCH_METRICS, reported_name
from cct.training.optimizers import make_optimizer
from cct.training.params import TrainParams
from cct.training.parts import frozen
from cct.training.resume import CheckpointCallback, Progress, RestoreMetrics, restore
from cct.training.schedules import learning_rates

MOST_STEPS = 50_000_000  # the learning rate of each step is in memory


def train_model(
    model: keras.Model,
    training: Examples,
    validation: Examples,
    *,
    config: TrainParams,
    transform_of: Callable[[int], Transform] = no_transform,
    jit_compile: bool,
    checkpoints: CheckpointStore | None = None,
    on_epoch: Callable[[dict[str, float]], None] = lambda row: None,
) -> list[dict[str, float]]:
    """Train `model` in place. It ends with its best weights on `validation`, raw or averaged.

    Args:
        model: from a batch of inputs to logits.
        training: the examples to learn from.
        validation: the examples that choose the best epoch.
        config: the section `train` of `params.yaml`.
        transform_of: from the number of an epoch, from 0, to the transform of its batches (augmentation).
        jit_compile: whether XLA compiles a step.
        checkpoints: the store of checkpoints; the training resumes from the latest. A resumed training ends in the same
            bits as an uninterrupted one.
        on_epoch: gets the history's row of each new epoch, without `best`, as soon as it is known.

    Returns:
        A row for each epoch, with the columns of `cct.training.history`.

    Raises:
        TrainingError: the loss is not finite, or there are too few batches for a single update, or too many steps.
        CCTError: `class_weights` is on, and a class has no training example.
        KeyboardInterrupt: the run was asked to stop. The message says where, and whether its checkpoint is written.
    """
    classes, batch_size = model.output_shape[-1], config.batch_size
    steps = math.ceil(len(training.labels) / batch_size)
    if steps * config.epochs > MOST_STEPS:
        raise TrainingError(
            f"train.epochs = {config.epochs} of {steps:,} batches are {steps * config.epochs:,} steps, more than "
            f"{MOST_STEPS:,}: lower train.epochs, or raise train.batch_size"
        )
    weights_k = class_weights(config.class_weights, training.labels, classes)
    rates = learning_rates(config, steps_per_epoch=steps)
    batches = functools.partial(
        train_batches,
        training,
        batch_size=batch_size,
        classes=classes,
        seed=config.seed,
        transform_of=transform_of,
        weights_k=weights_k,
    )
    val_batches = EvalBatches(validation, batch_size=batch_size, classes=classes)
    best = BestWeights(val_batches if config.ema_decay is not None else None, config.early_stopping_patience)
    with frozen(model, config.freeze):
        _compile(model, config, rates, jit_compile=jit_compile)
        progress = restore(model, best, checkpoints, EvalBatches(validation, batch_size=1, classes=classes)[0])
        history = list(progress.history)
        place = {"steps": steps, "first_step": progress.step}
        with deferred_interrupts() as stop_requested:
            callbacks = [
                RestoreMetrics(progress.metrics),
                StopOnNonFiniteLoss(),
                best,
                ProgressLogger(epochs=config.epochs, examples=len(training.labels), best=best, **place),
                HistoryLogger(rates[steps - 1 :: steps], history, on_epoch),
                CheckpointCallback(checkpoints, best=best, history=history, stop_requested=stop_requested, **place),
            ]
            _fit(
                model, config, progress, steps=steps, batches=batches, validation_data=val_batches, callbacks=callbacks
            )
    model.set_weights(best.weights)
    return [{**row, "best": int(row["epoch"] == best.epoch + 1)} for row in history]


def _compile(model: keras.Model, config: TrainParams, rates: np.ndarray, *, jit_compile: bool) -> None:
    if len(rates) < config.gradient_accumulation_steps:
        raise TrainingError(
            f"train.gradient_accumulation_steps = {config.gradient_accumulation_steps} is more than the "
            f"{len(rates)} batches of all {config.epochs} epochs, so the weights would never change: "
            "lower it, or train.batch_size"
        )
    model.compile(
        make_optimizer(model, config, rates),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing),
        metrics=[metric.make(reported_name(name)) for name, metric in EPOCH_METRICS.items()],
        jit_compile=jit_compile,
    )
    # Otherwise TensorFlow traces the first step twice, because the optimizer makes its variables in it.
    model.optimizer.build(model.trainable_variables)


def _fit(
    model: keras.Model,
    config: TrainParams,
    progress: Progress,
    *,
    steps: int,
    batches: Callable[..., Any],
    **options: Any,
) -> None:
    """Run the remaining epochs. The first of them begins at the step in `progress`."""
    epoch, first_step, stopped = progress.epoch, progress.step, progress.stopped
    while epoch < config.epochs and not stopped:
        # To Keras, the rest of an epoch is an epoch with fewer steps. It needs a separate `fit`.
        end = epoch + 1 if first_step else config.epochs
        with _prefetched(batches(epochs=range(epoch, end), first_step=first_step)) as stream:
            model.fit(
                stream,
                initial_epoch=epoch,
                epochs=end,
                steps_per_epoch=steps - first_step,
                shuffle=False,  # the batches are shuffled already
                verbose=0,
                **options,
            )
        epoch, first_step, stopped = end, 0, model.stop_training


def _prefetched(batches: Iterator[Any]) -> contextlib.AbstractContextManager[Iterator[Any]]:
    """The batches, made while the device computes. TensorFlow reads ahead itself; JAX and PyTorch do not."""
    if keras.backend.backend() == "tensorflow":
        return contextlib.nullcontext(batches)
    return contextlib.closing(read_ahead(batches))
