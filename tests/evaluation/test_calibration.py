"""Temperature scaling."""

import numpy as np
import pytest

from cct.evaluation.calibration import TEMPERATURES, fit_temperature
from cct.evaluation.metrics import brier_score, cross_entropy
from cct.evaluation.softmax import MetricsError, softmax


def sampled(count: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from softmax(logits / temperature)."""
    generator = np.random.default_rng(0)
    logits_nk = generator.normal(size=(count, 5)) * 3
    probabilities_nk = softmax(logits_nk / temperature)
    labels_n = (generator.random((count, 1)) > probabilities_nk.cumsum(axis=1)).sum(axis=1)
    return logits_nk, np.minimum(labels_n, 4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_the_labels_is_found(temperature):
    """Within ten standard errors: the loss is quadratic around its minimum, and 20,000 examples give about 0.01."""
    assert fit_temperature(*sampled(20_000, temperature)) == pytest.approx(temperature, rel=0.1)


def test_no_other_temperature_has_a_lower_loss():
    logits_nk, labels_n = sampled(2_000, 1.7)
    found = fit_temperature(logits_nk, labels_n)
    losses = [cross_entropy(logits_nk / t, labels_n) for t in (found, 0.97 * found, 1.03 * found)]
    assert losses[0] == min(losses)


def test_scaled_logits_have_a_scaled_temperature():
    logits_nk, labels_n = sampled(1_000, 1.0)
    assert fit_temperature(4 * logits_nk, labels_n) == pytest.approx(4 * fit_temperature(logits_nk, labels_n), rel=1e-5)


@pytest.mark.parametrize("examples", [1, 6, 100])
def test_few_right_answers_make_nothing_certain(examples):
    """All are right, so the plain maximum of the likelihood would be a temperature of 0."""
    logits_nk = np.tile([3.0, 0.0, 0.0], (examples, 1))
    labels_n = np.zeros(examples, int)
    confidence = softmax(logits_nk / fit_temperature(logits_nk, labels_n))[0, 0]
    assert confidence == pytest.approx((examples + 1) / (examples + 2), abs=1e-5)


def test_the_bounds_hold_and_one_class_is_no_problem():
    constant_nk = np.zeros((4, 3))
    assert TEMPERATURES[0] <= fit_temperature(constant_nk, np.array([0, 1, 2, 0])) <= TEMPERATURES[1]
    assert TEMPERATURES[0] <= fit_temperature(np.ones((3, 1)), np.zeros(3, int)) <= TEMPERATURES[1]
    with pytest.raises(MetricsError, match="diverged"):
        fit_temperature(np.full((2, 2), np.nan), np.array([0, 1]))


def test_the_brier_score_by_hand():
    probabilities_nk = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    assert brier_score(probabilities_nk, np.array([0, 1, 0])) == pytest.approx((0 + 0.5 + 2) / 3)
