"""Keras optimizers that keep averaged weights beside the raw ones, and their learning rate at each step."""

import keras
from keras import ops

from cct.training.params import TrainParams
from cct.training.schedules import learning_rate


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """`cct.training.schedules.learning_rate` at each step."""

    def __init__(self, train: TrainParams, steps_per_epoch: int) -> None:
        self.train, self.steps_per_epoch = train, steps_per_epoch

    def __call__(self, step):
        return learning_rate(self.train, ops.cast(step, "float32") / self.steps_per_epoch, ops)


class RawAndAveraged:
    """Mixed into an optimizer, it leaves the model its raw weights where the optimizer averages them too."""

    def finalize_variable_values(self, var_list: list) -> None:
        """Do nothing. `fit` ends with this call, and the averages would replace the raw weights."""

    def use_averages(self, variables: list) -> None:
        """Put the averages into the model's trainable variables."""
        super().finalize_variable_values(variables)


class AdamW(RawAndAveraged, keras.optimizers.AdamW):
    pass


class Muon(RawAndAveraged, keras.optimizers.Muon):
    pass
