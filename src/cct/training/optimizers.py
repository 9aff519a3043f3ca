"""The optimizers, and the learning rate at each step."""

import keras
from keras import ops

from cct.training.params import TrainParams
from cct.training.schedules import learning_rate


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """`cct.recipe.learning_rate` at each step."""

    def __init__(self, train: TrainParams, steps_per_epoch: int) -> None:
        self.train, self.steps_per_epoch = train, steps_per_epoch

    def __call__(self, step):
        return learning_rate(self.train, ops.cast(step, "float32") / self.steps_per_epoch, ops)


class _RawAndAveraged:
    """What leaves a model its raw weights beside the averages that its optimizer keeps."""

    def finalize_variable_values(self, var_list: list) -> None:
        """Nothing: `fit` ends with this, and the averages would take the weights' place. See `use_averages`."""

    def use_averages(self, variables: list) -> None:
        """Put the averages into the model's trainable variables."""
        super().finalize_variable_values(variables)


class AdamW(_RawAndAveraged, keras.optimizers.AdamW):
    pass


class Muon(_RawAndAveraged, keras.optimizers.Muon):
    pass


def make_optimizer(model: keras.Model, train: TrainParams, *, steps_per_epoch: int) -> AdamW | Muon:
    """The recipe's optimizer; norms, biases and positions are not decayed unless it says so.

    Muon (Jordan et al., 2024; scaled as in Liu et al., arXiv:2502.16982, so that rates and decay are AdamW's) is for
    the matrices of the encoder; convolutions, vectors, positions and head have AdamW.

    Args:
        steps_per_epoch: batches in an epoch, however many of them make one update.
    """
    batches_per_update = train.gradient_accumulation_steps
    options = {
        "learning_rate": LearningRate(train, steps_per_epoch),
        "weight_decay": train.weight_decay,
        "global_clipnorm": train.clip_norm,
        "gradient_accumulation_steps": batches_per_update if batches_per_update > 1 else None,
        "use_ema": train.ema_decay is not None,
        # Keras averages after every batch, whether or not it brought an update.
        "ema_momentum": (train.ema_decay or 0.0) ** (1 / batches_per_update),
    }
    if train.optimizer == "adamw":
        chosen = AdamW(**options)
    else:
        chosen = Muon(**options, adam_weight_decay=train.weight_decay, exclude_layers=["^(?!encoder_)"])
    if not train.decay_norm_and_bias:
        chosen.exclude_from_weight_decay(
            var_list=[
                v for v in model.trainable_variables if len(v.shape) < 2 or v.path.startswith("positional_embedding/")
            ]
        )
    return chosen
