"""Training: a model and arrays in, a history out. Knows neither files nor trackers."""

import math
from collections.abc import Callable

import keras

from cct.augment.params import AugmentParams
from cct.training.batches import EvalBatches, Split, train_batches
from cct.training.callbacks import BestWeights, HistoryLogger, ProgressLogger, StopOnNonFiniteLoss, TrainingError
from cct.training.checkpoints import CheckpointStore
from cct.training.interrupts import deferred_interrupts
from cct.training.optimizers import make_optimizer
from cct.training.params import TrainParams
from cct.training.resume import CheckpointCallback, RestoreMetrics, assign_variables, training_variables


def train_model(
    model: keras.Model,
    training: Split,
    validation: Split,
    *,
    recipe: TrainParams,
    augment: AugmentParams,
    jit_compile: bool,
    states: CheckpointStore | None = None,
    on_epoch: Callable[[dict[str, float]], None] = lambda row: None,
    say: Callable[[str], None] = print,
) -> list[dict[str, float]]:
    """Train `model` in place; it ends with its best weights on `validation`, raw or averaged.

    Args:
        states: where the state of the run is kept, and from where it goes on. A run that goes on ends in the same bits
            as one that was never interrupted.
        on_epoch: gets each new epoch's row of the history, without `best`, as soon as it is known.
        say: gets the progress, line by line.

    Returns:
        A row for each epoch, with the columns of `cct.tables.HISTORY`.

    Raises:
        TrainingError: the loss is no longer a number, or there are too few batches for a single update.
        KeyboardInterrupt: the run was asked to stop; its state is written, and the message says where it stopped.
    """
    classes, batch_size = model.output_shape[-1], recipe.batch_size
    steps = math.ceil(len(training.labels) / batch_size)
    if steps * recipe.epochs < recipe.gradient_accumulation_steps:
        raise TrainingError(
            f"train.gradient_accumulation_steps = {recipe.gradient_accumulation_steps} is more than the "
            f"{steps * recipe.epochs} batches of all {recipe.epochs} epochs, so the weights would never change: "
            "lower it, or train.batch_size"
        )
    model.compile(
        make_optimizer(model, recipe, steps_per_epoch=steps),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=jit_compile,
    )
    # Else TensorFlow traces the first step twice, once to find out that the optimizer makes variables in it.
    model.optimizer.build(model.trainable_variables)
    slices = EvalBatches(validation, batch_size=batch_size, classes=classes)
    best = BestWeights(slices if recipe.ema_decay is not None else None, recipe.early_stopping_patience)
    epoch, first_step, rows, stopped, metrics = 0, 0, [], False, []
    if states is not None and states.latest is not None:
        content, arrays = states.latest
        epoch, first_step, rows = content["epoch"], content["step"], content["history"]
        stopped, metrics = content["stopped"], arrays["metrics"]
        best.epoch, best.accuracy, best.weights = content["best"]["epoch"], content["best"]["accuracy"], arrays["best"]
        if metrics:  # they are made by their first use
            model.test_on_batch(*EvalBatches(validation, batch_size=1, classes=classes)[0])
        variables = training_variables(model, metrics=False)
        assign_variables(variables["model"], arrays["model"])
        assign_variables(variables["optimizer"], arrays["optimizer"])
    images = len(training.labels)
    progress = ProgressLogger(
        epochs=recipe.epochs, images=images, steps=steps, first_step=first_step, best=best, say=say
    )
    with deferred_interrupts(say) as asked:
        saver = CheckpointCallback(states, best=best, rows=rows, steps=steps, first_step=first_step, asked=asked)
        callbacks = [
            RestoreMetrics(metrics),
            StopOnNonFiniteLoss(),
            best,
            progress,
            HistoryLogger(recipe, rows, on_epoch),
            saver,
        ]
        while epoch < recipe.epochs and not stopped:
            # What is left of an epoch is an epoch of fewer steps to Keras, and needs a `fit` of its own.
            end = epoch + 1 if first_step else recipe.epochs
            stream = train_batches(
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
    return [{**row, "best": int(row["epoch"] == best.epoch + 1)} for row in rows]
