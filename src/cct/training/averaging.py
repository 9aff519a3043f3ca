"""Keras optimizers whose averaged weights stay beside the raw ones, and their learning rates by step and by layer."""

import re
from collections.abc import Sequence

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


class LayerRates:
    """Mixin for an optimizer whose learning rate may differ from layer to layer. At first it does not.

    It relies on what Keras documents for subclasses: `update_step` changes one variable. It makes no variables, so a
    checkpoint needs nothing more.
    """

    rates: tuple[tuple[float, float], ...] = ()

    def set_layer_rates(self, factors: Sequence[float], weight_decays: Sequence[float]) -> None:
        """Set a factor of the learning rate, and the weight decay, of each variable that the optimizer is built with.

        The optimizer's own weight decay must be 0: at each step Keras multiplies it by the rate of all variables.
        """
        self.rates = tuple(zip(factors, weight_decays, strict=True))

    def update_step(self, gradient, variable, learning_rate) -> None:
        """Decay and update a variable at its own rate."""
        if self.rates:
            factor, decay = self.rates[self._get_variable_index(variable)]
            learning_rate = learning_rate * factor
            if decay:
                self.assign_sub(variable, variable * decay * ops.cast(learning_rate, variable.dtype))
        super().update_step(gradient, variable, learning_rate)


class AdamW(RawAndAveraged, LayerRates, keras.optimizers.AdamW):
    pass


class Muon(RawAndAveraged, LayerRates, keras.optimizers.Muon):
    """Muon also for kernels of convolutions: the matrix of one is (rows * columns * channels in, channels out)."""

    def _should_use_adamw(self, variable) -> bool:
        """Keras's rule leaves all but matrices to AdamW, and so convolutions."""
        return len(variable.shape) < 2 or any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def zeropower_via_newtonschulz5(self, x, steps: int):
        """Make the matrix of an update orthogonal."""
        return ops.reshape(super().zeropower_via_newtonschulz5(_matrix(x), steps), x.shape)

    def lr_adjust(self, x):
        """Scale an update by the sides of its matrix."""
        return ops.reshape(super().lr_adjust(_matrix(x)), x.shape)


def _matrix(x):
    return ops.reshape(x, (-1, x.shape[-1]))
