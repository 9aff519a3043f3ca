"""One update of the weights, compared with an update by hand."""

import keras
import numpy as np
import pytest
from runs import TRAIN
from trainings import CONVOLUTIONS, network

from cct.training.averaging import LayerRates, LearningRate
from cct.training.optimizers import OPTIMIZERS, make_optimizer
from cct.training.params import TrainParams
from cct.training.parts import rate_factors
from cct.training.schedules import learning_rates

pytestmark = pytest.mark.usefixtures("deterministic")


def test_the_optimizer_has_the_rate_of_the_table_at_every_step():
    rates = np.array([0.1, 0.3, 0.2, 0.0], "float32")
    schedule = LearningRate(rates)
    assert [float(schedule(step)) for step in range(6)] == [*map(float, rates), 0.0, 0.0]
    net = network()
    adamw = optimizer(net, learning_rate=0.25)
    assert float(adamw.learning_rate) == 0.25


def values(variables: list) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def optimizer(net, **changes):
    """Of the config, without warm-up or decay."""
    plain = {"schedule": "constant", "warmup_epochs": 0, "weight_decay": 0.0}
    train = TrainParams(**TRAIN | plain | changes)
    adamw = make_optimizer(net, train, learning_rates(train, steps_per_epoch=10))
    adamw.build(net.trainable_variables)
    return adamw


def gradients(net, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.normal(size=v.shape).astype("float32") for v in net.trainable_variables]


@pytest.mark.parametrize("batches", [1, 2])
def test_averages_are_those_of_the_weights_after_each_update(batches):
    """By hand: the first update's weights, then 0.9 of the average and 0.1 of the weights."""
    net = network()
    adamw = optimizer(net, ema_decay=0.9, gradient_accumulation_steps=batches, learning_rate=0.1)
    expected = None
    for step in range(5 * batches):
        adamw.apply(gradients(net, step), net.trainable_variables)
        if step % batches == batches - 1:
            weights = values(net.trainable_variables)
            if expected is None:
                expected = weights
            else:
                expected = [0.9 * a + 0.1 * w for a, w in zip(expected, weights, strict=True)]
    for _ in range(batches - 1):  # Keras averages after every batch: the last update counts in full a round later
        adamw.apply([np.zeros(v.shape, "float32") for v in net.trainable_variables], net.trainable_variables)
    adamw.use_averages(net.trainable_variables)
    for found, hand in zip(values(net.trainable_variables), expected, strict=True):
        np.testing.assert_allclose(found, hand, rtol=1e-5, atol=1e-6)


def test_accumulated_gradients_make_the_update_of_their_mean():
    one, two, plain = network(), network(), network()
    first, second = gradients(one, 0), gradients(one, 1)
    optimizer(one, gradient_accumulation_steps=1).apply(
        [(a + b) / 2 for a, b in zip(first, second, strict=True)], one.trainable_variables
    )
    accumulating = optimizer(two, gradient_accumulation_steps=2)
    accumulating.apply(first, two.trainable_variables)
    for found, before in zip(values(two.trainable_variables), values(plain.trainable_variables), strict=True):
        np.testing.assert_array_equal(found, before)  # half an update changes nothing
    accumulating.apply(second, two.trainable_variables)
    for found, expected in zip(values(two.trainable_variables), values(one.trainable_variables), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_gradients_are_clipped_to_a_norm_of_all_together():
    """Adam forgets the size of the first gradient, not its size beside the second."""
    big, small = gradients(network(), 0), [g * 1e-3 for g in gradients(network(), 1)]
    norm = np.sqrt(sum((g**2).sum() for g in big))
    weights = []
    for first, clip in ((big, 1.0), ([g / norm for g in big], None), (big, None)):
        net = network()
        adamw = optimizer(net, clip_norm=clip)
        adamw.apply(first, net.trainable_variables)
        adamw.apply(small, net.trainable_variables)
        weights.append(np.concatenate([v.ravel() for v in values(net.trainable_variables)]))
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-6)
    assert np.abs(weights[0] - weights[2]).max() > 1e-4


def test_a_step_whose_scaled_loss_overflows_changes_nothing_but_the_scale():
    net = network()
    scaled = keras.optimizers.LossScaleOptimizer(optimizer(net, ema_decay=0.9, clip_norm=1.0))
    scaled.build(net.trainable_variables)
    before, scale = values(net.trainable_variables), float(scaled.dynamic_scale)
    scaled.apply([g * np.inf for g in gradients(net, 0)], net.trainable_variables)
    assert float(scaled.dynamic_scale) == scale / 2 and int(scaled.iterations) == 0
    for found, expected in zip(values(net.trainable_variables), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    scaled.apply([g * (scale / 2) for g in gradients(net, 0)], net.trainable_variables)
    other = network()
    optimizer(other, ema_decay=0.9, clip_norm=1.0).apply(gradients(net, 0), other.trainable_variables)
    for found, expected in zip(values(net.trainable_variables), values(other.trainable_variables), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


MATRICES = {f"encoder_0/{name}/kernel" for name in ("attention/qkv", "attention/projection", "dense_1", "dense_2")}
KERNELS = {f"tokenizer/convolution_{i}/kernel" for i in range(1, 11)}


@pytest.mark.parametrize(("chosen", "orthogonal"), [("muon", MATRICES), ("muon_conv", MATRICES | KERNELS)])
def test_muon_makes_orthogonal_steps_of_its_matrices_and_adamws_of_all_else(chosen, orthogonal):
    """In all its directions a matrix steps by the rate times 0.2 times the root of its longer side.

    The matrix of a convolution has a column for each channel out.
    """
    net = network(num_conv_layers=11, pool_after=[1], conv_channels=6, conv_norm="batch")
    before, rate = values(net.trainable_variables), 1e-3
    steep = [np.sign(g) * (0.5 + np.abs(g)) for g in gradients(net, 0)]  # Adam's epsilon is nothing beside it
    optimizer(net, optimizer=chosen, learning_rate=rate).apply(steep, net.trainable_variables)
    found = set()
    for variable, old in zip(net.trainable_variables, before, strict=True):
        step = keras.ops.convert_to_numpy(variable) - old
        if variable.path in orthogonal:
            matrix = step.reshape(-1, step.shape[-1])
            singular = np.linalg.svd(matrix, compute_uv=False) / (rate * 0.2 * max(matrix.shape) ** 0.5)
            assert singular.min() > 0.5 and singular.max() < 1.3, variable.path
            found.add(variable.path)
        else:  # Adam's first step is the rate itself
            np.testing.assert_allclose(np.abs(step), rate, rtol=1e-3)
    assert found == orthogonal


@pytest.mark.parametrize("chosen", OPTIMIZERS)
@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("pooling", ["sequence", "class_token"])
def test_norms_biases_positions_and_the_class_token_are_not_decayed(everything, chosen, pooling):
    """At a zero gradient an optimizer only decays: what stays as it was is not decayed."""
    net = network(pooling=pooling, **CONVOLUTIONS, conv_norm="batch")
    adamw = optimizer(net, optimizer=chosen, decay_norm_and_bias=everything, weight_decay=0.5)
    variables = net.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    adamw.apply([keras.ops.zeros(v.shape) for v in variables])
    decayed = {v.path for v in variables if keras.ops.convert_to_numpy(v).max() < 1}
    exempt = {v.path for v in variables} - decayed
    if everything:
        assert not exempt
    else:
        spared = ("bias", "gamma", "beta", "positional_embedding/table", "class_token/token")
        assert exempt == {v.path for v in variables if v.path.endswith(spared)} and len(exempt) > 8


@pytest.mark.parametrize("chosen", OPTIMIZERS)
@pytest.mark.parametrize("everything", [False, True])
def test_each_layer_is_updated_and_decayed_at_its_own_rate(chosen, everything):
    """As an optimizer does it whose one rate is that layer's, bit by bit: all factors are powers of two."""
    net = network(num_layers=2, **CONVOLUTIONS)
    options = {"optimizer": chosen, "decay_norm_and_bias": everything, "weight_decay": 0.25, "min_learning_rate": 0.0}
    rate, factors = 2.0**-8, rate_factors(net, 0.5)
    layered = optimizer(net, learning_rate=rate, layer_decay=0.5, **options)
    for seed in range(3):
        layered.apply(gradients(net, seed), net.trainable_variables)
    assert {*factors} == {0.125, 0.25, 0.5, 1.0}
    for factor in {*factors}:
        other = network(num_layers=2, **CONVOLUTIONS)
        plain = optimizer(other, learning_rate=rate * factor, **options)
        for seed in range(3):
            plain.apply(gradients(other, seed), other.trainable_variables)
        pairs = zip(net.trainable_variables, other.trainable_variables, factors, strict=True)
        for found, expected in ((found, expected) for found, expected, own in pairs if own == factor):
            np.testing.assert_array_equal(*values([found, expected]), err_msg=found.path)


@pytest.mark.parametrize("chosen", OPTIMIZERS)
def test_without_layer_decay_no_bit_changes(chosen, monkeypatch):
    trained = []
    for _ in range(2):
        net = network(num_layers=2, **CONVOLUTIONS)
        plain = optimizer(net, optimizer=chosen, weight_decay=0.25, ema_decay=0.9, clip_norm=1.0)
        for seed in range(3):
            plain.apply(gradients(net, seed), net.trainable_variables)
        trained.append(values([*net.trainable_variables, *plain.variables]))
        monkeypatch.delattr(LayerRates, "update_step", raising=False)  # the second time it is Keras's own
    for one, other in zip(*trained, strict=True):
        np.testing.assert_array_equal(one, other)
