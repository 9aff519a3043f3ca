"""The optimizers by name. To add one, write a function as below and an entry in `OPTIMIZERS`.

This module is light, because the schema reads its names. Keras is imported when an optimizer is made.
"""

from typing import TYPE_CHECKING, Any

from cct.training.parts import ENCODER, rate_factors

if TYPE_CHECKING:
    import keras
    import numpy as np

    from cct.training.params import TrainParams


def _adamw(train: "TrainParams", options: dict[str, Any]) -> "keras.optimizers.Optimizer":
    from cct.training.averaging import AdamW

    return AdamW(**options)


def _muon(train: "TrainParams", options: dict[str, Any]) -> "keras.optimizers.Optimizer":
    """Muon for the encoder's matrices; AdamW for convolutions, vectors, positions and the head.

    Source: Jordan et al., 2024, scaled as in Liu et al., arXiv:2502.16982, so that AdamW's rates and decay apply.
    """
    return _muon_of(ENCODER, train, options)


def _muon_conv(train: "TrainParams", options: dict[str, Any]) -> "keras.optimizers.Optimizer":
    """Muon also for all convolutions except the first, which reads the images.

    Source: Jordan, cifar10-airbench, `airbench94_muon.py`, 2024.
    """
    return _muon_of(f"{ENCODER}|tokenizer/convolution_[1-9]", train, options)


def _muon_of(matrices: str, train: "TrainParams", options: dict[str, Any]) -> "keras.optimizers.Optimizer":
    """Muon for the matrices whose paths begin with a regular expression, and AdamW for the rest."""
    from cct.training.averaging import Muon

    return Muon(**options, adam_weight_decay=train.weight_decay, exclude_layers=[f"^(?!{matrices})"])


TOKEN_LAYERS = ("class_token/", "positional_embedding/")  # layers whose weights are tokens, not matrices
OPTIMIZERS = {"adamw": _adamw, "muon": _muon, "muon_conv": _muon_conv}


def make_optimizer(model: "keras.Model", train: "TrainParams", rates: "np.ndarray") -> "keras.optimizers.Optimizer":
    """The optimizer of a config. Norms, biases, positions and the class token are decayed only if the config says so.

    With layer decay, each layer has its own learning rate, and its weight decay falls with it, as in timm.

    Args:
        model: the model whose variables the optimizer will change.
        train: the config.
        rates: the learning rate of each batch, (batches,), also if several batches make one update.
    """
    from cct.training.averaging import LearningRate

    variables, batches_per_update = model.trainable_variables, train.gradient_accumulation_steps
    spared = [] if train.decay_norm_and_bias else [v for v in variables if _is_norm_bias_or_token(v)]
    by_layer = train.layer_decay < 1
    # With layer decay `LayerRates` decays the weights, each at its own rate, and Keras does not.
    own = train.model_copy(update={"weight_decay": 0.0}) if by_layer else train
    options = {
        "learning_rate": LearningRate(rates),
        "weight_decay": own.weight_decay,
        "global_clipnorm": train.clip_norm,
        "gradient_accumulation_steps": batches_per_update if batches_per_update > 1 else None,
        "use_ema": train.ema_decay is not None,
        # Keras averages after every batch, also without an update.
        "ema_momentum": (train.ema_decay or 0.0) ** (1 / batches_per_update),
    }
    optimizer = OPTIMIZERS[train.optimizer](own, options)
    if by_layer:
        exempt = {id(variable) for variable in spared}
        decays = [0.0 if id(variable) in exempt else train.weight_decay for variable in variables]
        optimizer.set_layer_rates(rate_factors(model, train.layer_decay), decays)
    elif spared:
        optimizer.exclude_from_weight_decay(var_list=spared)
    return optimizer


def _is_norm_bias_or_token(variable: "keras.Variable") -> bool:
    return len(variable.shape) < 2 or variable.path.startswith(TOKEN_LAYERS)
