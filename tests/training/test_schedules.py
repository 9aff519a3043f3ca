import math
from pathlib import Path

import numpy as np
import pytest
from runs import TRAIN

from cct.params import ParamsError, parse
from cct.training.params import TrainParams
from cct.training.schedules import learning_rate

GOOD = TRAIN | {
    "epochs": 10,
    "batch_size": 128,
    "learning_rate": 1.0,
    "min_learning_rate": 0.2,
    "warmup_epochs": 2,
    "step_epochs": 3,
    "step_factor": 0.5,
    "weight_decay": 0.06,
}


def config(**changes) -> TrainParams:
    return parse(TrainParams, GOOD | changes, where=Path("params.yaml"))


# Low 0.2, high 1.0, 2 of 10 epochs of warm-up: 8 epochs of cosine, its half at 6, where the rate is their mean.
@pytest.mark.parametrize(
    ("changes", "epoch", "expected"),
    [
        ({}, 0, 0.2),
        ({}, 0.5, 0.4),
        ({}, 1, 0.6),
        ({}, 2, 1.0),
        ({}, 4, 0.6 + 0.4 * math.sqrt(0.5)),
        ({}, 6, 0.6),
        ({}, 8, 0.6 - 0.4 * math.sqrt(0.5)),
        ({}, 10, 0.2),
        ({}, 12, 0.2),
        ({"schedule": "constant"}, 1, 0.6),
        ({"schedule": "constant"}, 2, 1.0),
        ({"schedule": "constant"}, 10, 1.0),
        ({"warmup_epochs": 0}, 0, 1.0),
        ({"warmup_epochs": 0}, 5, 0.6),
        ({"warmup_epochs": 0}, 10, 0.2),
        ({"warmup_epochs": 0, "schedule": "constant"}, 0, 1.0),
        ({"warmup_epochs": 0.5}, 0.25, 0.6),
        ({"warmup_epochs": 0.5}, 0.5, 1.0),
        ({"warmup_epochs": 0.5}, 5.25, 0.6),
        ({"schedule": "linear"}, 1, 0.6),
        ({"schedule": "linear"}, 4, 0.8),
        ({"schedule": "linear"}, 10, 0.2),
        # Steps of 3 epochs from the end of the warm-up, each to the half, not below the floor.
        ({"schedule": "step"}, 2, 1.0),
        ({"schedule": "step"}, 4.9, 1.0),
        ({"schedule": "step"}, 5.1, 0.5),
        ({"schedule": "step"}, 8.1, 0.25),
        ({"schedule": "step", "step_factor": 0.1}, 5.1, 0.2),
        # The last 4 at the floor: 4 epochs of cosine or line between.
        ({"cooldown_epochs": 4}, 4, 0.6),
        ({"cooldown_epochs": 4}, 6, 0.2),
        ({"cooldown_epochs": 4}, 9, 0.2),
        ({"cooldown_epochs": 4, "schedule": "linear"}, 3, 0.8),
        ({"cooldown_epochs": 4, "schedule": "step"}, 5.9, 0.5),
        ({"cooldown_epochs": 4, "schedule": "step"}, 6.1, 0.2),
        ({"cooldown_epochs": 4, "schedule": "constant"}, 5.9, 1.0),
        ({"cooldown_epochs": 4, "schedule": "constant"}, 6, 0.2),
        ({"min_learning_rate": 0}, 0, 0.0),
        ({"min_learning_rate": 0}, 10, 0.0),
        ({"min_learning_rate": 1.0}, 1, 1.0),
        ({"min_learning_rate": 1.0}, 7, 1.0),
    ],
)
def test_by_hand(changes, epoch, expected):
    assert float(learning_rate(config(**changes), epoch)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step"])
@pytest.mark.parametrize(("warmup", "cooldown"), [(0, 0), (0.3, 0), (2, 1.5)])
def test_arrays_are_scalars_side_by_side(schedule, warmup, cooldown):
    train = config(schedule=schedule, warmup_epochs=warmup, cooldown_epochs=cooldown)
    epochs = np.linspace(0, 11, 45)
    rates = learning_rate(train, epochs)
    assert rates.shape == epochs.shape
    np.testing.assert_array_equal(rates, [float(learning_rate(train, epoch)) for epoch in epochs])


def test_rises_then_falls_within_its_bounds():
    rates = learning_rate(config(), np.linspace(0, 10, 1001))
    assert (np.diff(rates)[:200] > 0).all() and (np.diff(rates)[200:] < 0).all()
    assert (rates.min(), rates.max()) == (pytest.approx(0.2), 1.0)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"warmup_epochs": 10}, "warmup_epochs = 10: must be below train.epochs = 10"),
        ({"min_learning_rate": 1.5}, "min_learning_rate = 1.5: must not be above train.learning_rate = 1.0"),
        ({"cooldown_epochs": 8}, "cooldown_epochs = 8: must be below train.epochs - train.warmup_epochs = 8"),
        ({"step_factor": 0}, "step_factor = 0: must be greater than 0"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps = 0: must be greater than or equal to 1"),
        ({"ema_decay": 1}, "ema_decay = 1: must be less than 1, or null"),
        ({"clip_norm": -1}, "clip_norm = -1: must be greater than 0, or null"),
        ({"label_smoothing": 1}, "label_smoothing = 1: must be less than 1"),
    ],
)
def test_refused(changes, line):
    with pytest.raises(ParamsError) as caught:
        config(**changes)
    assert str(caught.value) == f"params.yaml has 1 mistake:\n  {line}"
