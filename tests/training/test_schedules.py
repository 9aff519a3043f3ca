import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import TRAIN

from cct.params import ParamsError, parse
from cct.training.params import TrainParams
from cct.training.schedules import SCHEDULES, learning_rates

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


STEPS = 100  # in an epoch


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
        ({"schedule": "constant"}, 1, 0.6),
        ({"schedule": "constant"}, 2, 1.0),
        ({"schedule": "constant"}, 9.99, 1.0),
        ({"warmup_epochs": 0}, 0, 1.0),
        ({"warmup_epochs": 0}, 5, 0.6),
        ({"warmup_epochs": 0, "schedule": "constant"}, 0, 1.0),
        ({"warmup_epochs": 0.5}, 0.25, 0.6),
        ({"warmup_epochs": 0.5}, 0.5, 1.0),
        ({"warmup_epochs": 0.5}, 5.25, 0.6),
        # A fifteenth of the epochs, at most 10.
        ({"warmup_epochs": None, "epochs": 15}, 0.5, 0.6),
        ({"warmup_epochs": None, "epochs": 15}, 1, 1.0),
        ({"warmup_epochs": None, "epochs": 300}, 5, 0.6),
        ({"warmup_epochs": None, "epochs": 1}, 0.03, 0.2 + 0.8 * 3 / 7),
        ({"schedule": "linear"}, 1, 0.6),
        ({"schedule": "linear"}, 4, 0.8),
        ({"schedule": "linear"}, 9.6, 0.24),
        # Steps of 3 epochs from the end of the warm-up, each to the half, not below the floor.
        ({"schedule": "step"}, 2, 1.0),
        ({"schedule": "step"}, 4.99, 1.0),
        ({"schedule": "step"}, 5, 0.5),
        ({"schedule": "step"}, 8, 0.25),
        ({"schedule": "step", "step_factor": 0.1}, 5, 0.2),
        # The last 4 at the floor: 4 epochs of cosine or line between.
        ({"cooldown_epochs": 4}, 4, 0.6),
        ({"cooldown_epochs": 4}, 6, 0.2),
        ({"cooldown_epochs": 4}, 9, 0.2),
        ({"cooldown_epochs": 4, "schedule": "linear"}, 3, 0.8),
        ({"cooldown_epochs": 4, "schedule": "step"}, 5.99, 0.5),
        ({"cooldown_epochs": 4, "schedule": "step"}, 6, 0.2),
        ({"cooldown_epochs": 4, "schedule": "constant"}, 5.99, 1.0),
        ({"cooldown_epochs": 4, "schedule": "constant"}, 6, 0.2),
        ({"min_learning_rate": 0}, 0, 0.0),
        ({"min_learning_rate": 1.0}, 1, 1.0),
        ({"min_learning_rate": 1.0}, 7, 1.0),
    ],
)
def test_by_hand(changes, epoch, expected):
    rates = learning_rates(config(**changes), steps_per_epoch=STEPS)
    assert rates[round(epoch * STEPS)] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("warmup", [0, 1, 2.5])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 49, 98, 196, 391, 782, 1563])
def test_a_step_of_the_rate_is_at_the_first_batch_of_its_epoch(steps, warmup):
    """For each number of batches: quotients of floats came out just below a whole number for many of them."""
    train = config(
        schedule="step", epochs=100, step_epochs=30, step_factor=0.1, warmup_epochs=warmup, min_learning_rate=0
    )
    rates = learning_rates(train, steps_per_epoch=steps)
    first = round(warmup * steps)
    for number in range(3):
        at = first + (number + 1) * 30 * steps
        assert rates[at - 1] == np.float32(0.1**number) and rates[at] == np.float32(0.1 ** (number + 1))


@given(
    schedule=st.sampled_from(list(SCHEDULES)),
    epochs=st.integers(1, 40),
    steps=st.integers(1, 50),
    shares=st.tuples(st.floats(0, 0.6), st.floats(0, 0.39)),
    step_epochs=st.floats(0.01, 50),
    factor=st.floats(0.01, 1),
    rates=st.tuples(st.floats(1e-6, 10), st.floats(0, 1)),
)
def test_any_schedule_rises_to_its_peak_falls_to_its_floor_and_stays_between(
    schedule, epochs, steps, shares, step_epochs, factor, rates
):
    high, low = rates[0], rates[0] * rates[1]
    train = config(
        schedule=schedule, epochs=epochs, step_epochs=step_epochs, step_factor=factor, learning_rate=high,
        min_learning_rate=low, warmup_epochs=shares[0] * epochs, cooldown_epochs=shares[1] * epochs,
    )  # fmt: skip
    found = learning_rates(train, steps_per_epoch=steps)
    warmup, last = round(shares[0] * epochs * steps), round((epochs - shares[1] * epochs) * steps)
    assert found.shape == (epochs * steps,) and found.dtype == np.float32
    assert (np.diff(found[:warmup]) >= 0).all() and (np.diff(found[warmup:]) <= 0).all()
    slack = 1e-6 * high
    assert (found >= low - slack).all() and (found <= high + slack).all()
    if warmup < last:
        assert found[warmup] == pytest.approx(high, rel=1e-6)
    if shares[1]:
        np.testing.assert_allclose(found[last:], low, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"warmup_epochs": 10},
            "warmup_epochs = 10: must be below train.epochs = 10 (null: epochs / 15, at most 10)",
        ),
        ({"min_learning_rate": 1.5}, "min_learning_rate = 1.5: must be at most train.learning_rate = 1.0"),
        ({"cooldown_epochs": 8}, "cooldown_epochs = 8: must be below train.epochs - train.warmup_epochs = 8"),
        ({"step_factor": 0}, "step_factor = 0: must be greater than 0"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps = 0: must be greater than or equal to 1"),
        ({"ema_decay": 1}, "ema_decay = 1: must be less than or equal to 0.999999, or null"),
        ({"clip_norm": -1}, "clip_norm = -1: must be greater than or equal to 0.000001, or null"),
        ({"label_smoothing": 1}, "label_smoothing = 1: must be less than or equal to 0.99"),
    ],
)
def test_refused(changes, line):
    with pytest.raises(ParamsError) as caught:
        config(**changes)
    assert str(caught.value) == f"params.yaml has 1 mistake:\n  {line}"
