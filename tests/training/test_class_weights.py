"""The weights of classes in the training loss."""

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight
from trainings import RANDOM, network, split, train

from cct.errors import CCTError
from cct.models.saving import predict_logits
from cct.tasks.image_classification.training import transforms
from cct.training.batches import Examples, train_batches
from cct.training.callbacks import StopOnNonFiniteLoss
from cct.training.class_weights import BETA, CLASS_WEIGHTS, class_weights
from cct.training.optimizers import OPTIMIZERS

pytestmark = pytest.mark.usefixtures("deterministic")
COUNTS = np.array([40, 4, 12, 8])
LABELS = np.repeat(np.arange(4), COUNTS)


def unbalanced() -> Examples:
    return Examples(split(64, 0).inputs, LABELS)


def still_network():
    """Without random numbers in training."""
    return network(attention_dropout=0.0, stochastic_depth=0.0)


def test_balanced_class_weights_are_those_of_scikit_learn():
    expected = compute_class_weight("balanced", classes=np.arange(4), y=LABELS)
    np.testing.assert_allclose(class_weights("balanced", LABELS, 4), expected, rtol=1e-6)


def test_effective_class_weights_are_those_of_the_paper():
    """Their ratios: the inverse of (1 - beta^n) / (1 - beta), which is 1 + beta + ... + beta^(n-1)."""
    effective = np.array([sum(BETA**i for i in range(count)) for count in COUNTS])
    weights = class_weights("effective", LABELS, 4)
    np.testing.assert_allclose(weights / weights[0], effective[0] / effective, rtol=1e-6)
    one, many = class_weights("effective", np.array([0] * 10**6 + [1]), 2)
    assert one > 0 and many / one == pytest.approx(1 / (1 - BETA))  # the most that they differ


@pytest.mark.parametrize("name", [name for name, function in CLASS_WEIGHTS.items() if function])
def test_the_mean_of_class_weights_over_the_training_examples_is_1(name):
    weights = class_weights(name, LABELS.astype(np.uint8), 4)
    assert weights.dtype == np.float32 and weights[LABELS].mean() == pytest.approx(1)
    assert np.argsort(weights).tolist() == np.argsort(-COUNTS).tolist()
    np.testing.assert_allclose(class_weights(name, np.arange(4), 4), 1)
    with pytest.raises(CCTError, match=rf"^train\.class_weights = {name}: no training example has label 1, 4; set it"):
        class_weights(name, np.array([0, 2, 3]), 5)


def test_without_class_weights_batches_have_none():
    assert class_weights("none", LABELS, 4) is None
    batches = train_batches(unbalanced(), batch_size=32, classes=4, seed=0, epochs=range(1))
    assert [len(batch) for batch in batches] == [2, 2]


def test_class_weights_are_mixed_as_targets_are():
    data, weights = split(100, 0), np.array([1, 2, 4, 8], np.float32)
    options = {"batch_size": 32, "classes": 4, "seed": 3, "transform_of": transforms(data, RANDOM, 3)}
    plain = list(train_batches(data, epochs=range(2), **options))
    weighted = list(train_batches(data, epochs=range(2), weights_k=weights, **options))
    for (inputs, targets), (same_inputs, same_targets, weight) in zip(plain, weighted, strict=True):
        np.testing.assert_array_equal(same_inputs, inputs)
        np.testing.assert_array_equal(same_targets, targets)
        assert weight.shape == (len(targets),) and weight.dtype == np.float32
        np.testing.assert_allclose(weight, [sum(target * weights) for target in targets], rtol=1e-6)
    assert any((targets.max(axis=1) < 1).any() for _, targets in plain)  # some are mixed


def test_class_weights_are_in_the_minimized_loss_and_not_in_what_is_reported(monkeypatch):
    """The loss of one batch by hand, before the first update is felt."""
    data, net, minimized = unbalanced(), still_network(), []
    net.get_layer("head").bias.assign([2, 0, 0, 0])  # so that classes have other losses
    logits = predict_logits(net, data.inputs, batch_size=64)
    loss_n = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(64), LABELS]
    monkeypatch.setattr(StopOnNonFiniteLoss, "_check", lambda self, loss: minimized.append(loss))
    (row,) = train(net, train_split=data, val_split=data, epochs=1, batch_size=64, warmup_epochs=0, learning_rate=1e-9,
                   min_learning_rate=0.0, label_smoothing=0.0, class_weights="balanced")  # fmt: skip
    weight_n = 64 / (4 * COUNTS)[LABELS]
    assert minimized == [pytest.approx((weight_n * loss_n).mean(), rel=1e-4)] * 2  # of the batch, and of the epoch
    assert abs((weight_n * loss_n).mean() - loss_n.mean()) > 0.1
    assert row["train_loss"] == pytest.approx(loss_n.mean(), rel=1e-4)
    assert row["val_loss"] == pytest.approx(loss_n.mean(), rel=1e-4)
    right = float((logits.argmax(axis=1) == LABELS).mean())
    assert row["train_accuracy"] == pytest.approx(right) and row["val_accuracy"] == pytest.approx(right)


def test_the_gradient_with_balanced_class_weights_is_the_mean_of_the_classes_own(monkeypatch):
    """A step of plain gradient descent at rate 1 is the gradient. Two accumulated halves of the data give the same."""

    def descent(train, options):
        return keras.optimizers.SGD(1.0, gradient_accumulation_steps=options["gradient_accumulation_steps"])

    monkeypatch.setitem(OPTIMIZERS, "adamw", descent)
    data = unbalanced()

    def gradient(examples: Examples, **changes) -> np.ndarray:
        net = still_network()
        before = np.concatenate([weight.ravel() for weight in net.get_weights()])
        train(net, train_split=examples, val_split=data, epochs=1, label_smoothing=0.0, **changes)
        return before - np.concatenate([weight.ravel() for weight in net.get_weights()])

    members = [np.flatnonzero(c == LABELS) for c in range(4)]
    expected = np.mean([gradient(Examples(data.inputs[m], LABELS[m]), batch_size=64) for m in members], axis=0)
    for batches in (1, 2):
        weighted = {"batch_size": 64 // batches, "gradient_accumulation_steps": batches}
        found = gradient(data, class_weights="balanced", **weighted)
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    # Without weights the head's first bias alone differs by 40 / 64 - 1 / 4, but for the small logits.
    assert np.abs(gradient(data, batch_size=64) - expected).max() > 0.1
