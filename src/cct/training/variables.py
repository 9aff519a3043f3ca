"""The variables that a training changes."""

import keras
import numpy as np


def training_variables(model: keras.Model, *, metrics: bool) -> dict[str, list]:
    """All variables that training changes, in groups. "model" includes the states of its random number generators."""
    return {
        "model": list(model.variables),
        "optimizer": list(model.optimizer.variables),
        "metrics": list(model.metrics_variables) if metrics else [],
    }


def assign_variables(variables: list, values: list[np.ndarray]) -> None:
    """Set each variable to the value at its place."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
