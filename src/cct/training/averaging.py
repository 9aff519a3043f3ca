"""Keras optimizers that keep averaged weights beside the raw weights, and their learning rate at each step."""

import keras
import numpy as np
from keras import ops


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of each step, from a table (steps,). The last rate stays after the end of the table."""

    def __init__(self, rates: np.ndarray) -> None:
        self.rates = ops.convert_to_tensor(rates)

    def __call__(self, step):
        return ops.take(self.rates, ops.minimum(ops.cast(step, "int32"), len(self.rates) - 1))


class RawAndAveraged:
    """Mixin for an optimizer with weight averages: the model keeps its raw weights."""

    def finalize_variable_values(self, var_list: list) -> None:
        """Do nothing. `fit` ends with this call, and the averages would replace the raw weights."""

    def use_averages(self, variables: list) -> None:
        """Put the averages into the model's trainable variables."""
        super().finalize_variable_values(variables)


class AdamW(RawAndAveraged, keras.optimizers.AdamW):
    pass


class Muon(RawAndAveraged, keras.optimizers.Muon):
    pass
