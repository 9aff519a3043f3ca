"""Depths of layers, and frozen parts of a model."""

import keras
import numpy as np
import pytest
from runs import TRAIN
from trainings import CHANGES, network, random_network, train

from cct.errors import CCTError
from cct.params import parse
from cct.training.params import TrainParams
from cct.training.parts import FREEZE, frozen, layer_depths, rate_factors

pytestmark = pytest.mark.usefixtures("deterministic")
# The layers with weights that each word leaves to train, of a model with two encoder layers.
TRAINED = {
    "none": {"tokenizer", "positional_embedding", "encoder_0", "encoder_1", "norm", "pool", "head"},
    "tokenizer": {"encoder_0", "encoder_1", "norm", "pool", "head"},
    "encoder": {"pool", "head"},
}
FINE = {"init_from": "pretrained/a.keras"}  # the loop does not read it; it trains the weights that it gets


def weights_of(net) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in net.layers if layer.weights}


def test_every_word_is_tested():
    assert TRAINED.keys() == FREEZE.keys()
    net = network(num_layers=2)
    for freeze, layers in TRAINED.items():
        with frozen(net, freeze):
            assert {v.path.partition("/")[0] for v in net.trainable_variables} == layers
        assert all(v.trainable for v in net.weights)


@pytest.mark.parametrize(("freeze", "chosen"), [("tokenizer", "muon"), ("encoder", "adamw")])
def test_frozen_weights_keep_their_bytes_and_all_others_change(freeze, chosen):
    """With weight decay, averages, accumulated and clipped gradients, and augmentation."""
    net = random_network()
    before, trainable = weights_of(net), [v.trainable for v in net.weights]
    train(net, **CHANGES | FINE | {"optimizer": chosen, "freeze": freeze, "weight_decay": 0.1, "epochs": 2})
    after = weights_of(net)
    same = {name for name in before if all(map(np.array_equal, before[name], after[name]))}
    assert before.keys() - same == TRAINED[freeze]
    trained = sum(value.size for name in TRAINED[freeze] for value in before[name])
    held = [v for v in net.optimizer.variables if len(v.shape)]
    assert all(v.name.startswith(tuple(TRAINED[freeze])) for v in held)
    # Averages and accumulated gradients, a momentum, and a second one where it is Adam's.
    assert 3 * trained <= sum(np.prod(v.shape) for v in held) <= 4 * trained
    assert [v.trainable for v in net.weights] == trainable  # again, so that the file is that of any model
    assert all(layer.trainable for layer in net.layers)


def test_dropout_stays_on_in_frozen_layers():
    net = network(dropout=0.5, attention_dropout=0.5)
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), dtype=np.uint8)
    with frozen(net, "encoder"):
        assert {v.path.partition("/")[0] for v in net.trainable_variables} == {"pool", "head"}
        one, other = (keras.ops.convert_to_numpy(net(images, training=True)) for _ in range(2))
        assert np.abs(one - other).max() > 0
        one, other = (keras.ops.convert_to_numpy(net(images, training=False)) for _ in range(2))
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("pooling", ["sequence", "class_token"])
def test_the_rate_falls_with_the_distance_from_the_head(pooling):
    """timm counts so: what makes tokens, then each layer, the last norm with the last layer, then the head."""
    net = network(num_layers=2, pooling=pooling)
    depths = {"encoder_0": 1, "encoder_1": 2, "norm": 2, "pool": 3, "head": 3}
    assert layer_depths(net) == {layer.name: depths.get(layer.name, 0) for layer in net.layers}
    found = {
        v.path.partition("/")[0]: factor
        for v, factor in zip(net.trainable_variables, rate_factors(net, 0.5), strict=True)
    }
    factors = {"tokenizer": 0.125, "positional_embedding": 0.125, "encoder_0": 0.25, "encoder_1": 0.5, "norm": 0.5}
    factors |= {"head": 1.0} | ({"pool": 1.0} if pooling == "sequence" else {"class_token": 0.125})
    assert found == factors


def test_random_weights_are_not_frozen(tmp_path):
    for freeze in FREEZE.keys() - {"none"}:
        with pytest.raises(CCTError, match=f"freeze = '{freeze}': would freeze random weights: name a trained model"):
            parse(TrainParams, TRAIN | {"freeze": freeze}, where=tmp_path)
        assert parse(TrainParams, TRAIN | FINE | {"freeze": freeze}, where=tmp_path).freeze == freeze
