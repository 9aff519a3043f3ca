"""The variables that a training changes."""

import math

import keras
import numpy as np


def training_variables(model: keras.Model, *, metrics: bool) -> dict[str, list]:
    """All variables that training changes, in groups. "model" includes the states of its random number generators."""
    return {
        "model": list(model.variables),
        "optimizer": list(model.optimizer.variables),
        "metrics": list(model.metrics_variables) if metrics else [],
    }


def parameters_of(model: keras.Model) -> int:
    """Number of parameters of a model, frozen or not.

    Keras counts the moving averages of norms too. They are measured, not trained, and PyTorch and timm leave them out.
    """
    averages = ("/moving_mean", "/moving_variance")
    return sum(math.prod(variable.shape) for variable in model.weights if not variable.path.endswith(averages))


def assign_variables(variables: list, values: list[np.ndarray]) -> None:
    """Set each variable to the value at its place."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
