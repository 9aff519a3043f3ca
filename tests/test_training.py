"""Training on a few hundred small pictures that can be learned."""

import math
import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest

from cct import model, recipe, states, training
from cct.recipe import AugmentParams, TrainParams
from cct.variants import ModelParams, resolve

RECIPE = {
    "epochs": 4,
    "batch_size": 32,
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "minimum_learning_rate": 1e-5,
    "warmup_epochs": 0.5,
    "weight_decay": 0.01,
    "decay_everything": False,
    "label_smoothing": 0.1,
    "early_stopping": None,
    "init_from": None,
    "seed": 0,
}
PLAIN = AugmentParams(crop_padding=0, horizontal_flip=False)


def split(count: int, seed: int) -> training.Split:
    """Noise, brighter in the quarter that the label names."""
    generator = np.random.default_rng(seed)
    images, labels = generator.integers(0, 100, (count, 8, 8, 1)), generator.integers(0, 4, count)
    for image, label in zip(images, labels, strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[row : row + 4, column : column + 4] += 100
    return training.Split(images.astype(np.uint8), labels)


def network(seed: int = 0):
    keras.utils.set_random_seed(seed)
    return model.build(resolve(ModelParams(name="cct_2_3x1", width=32, layers=1)), image_shape=(8, 8, 1), classes=4)


def train(net, *, augment=PLAIN, on_epoch=lambda row: None, train_split=None, val_split=None, saved=None, **changes):
    return training.train(
        net,
        train_split or split(200, 0),
        val_split or split(80, 1),
        recipe=TrainParams(**RECIPE | changes),
        augment=augment,
        jit_compile=False,
        states=saved,
        on_epoch=on_epoch,
        say=lambda line: None,
    )


def test_it_learns_and_keeps_the_best_epoch():
    net, seen = network(), []
    history = train(net, on_epoch=seen.append, epochs=6)
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert max(row["val_accuracy"] for row in history) > 0.9
    best = next(row for row in history if row["chosen"])
    assert sum(row["chosen"] for row in history) == 1
    assert best["val_accuracy"] == max(row["val_accuracy"] for row in history)
    val = split(80, 1)
    accuracy = (model.predict(net, val.images, batch_size=32).argmax(1) == val.labels).mean()
    assert accuracy == pytest.approx(best["val_accuracy"])
    assert [{**row, "chosen": r["chosen"]} for row, r in zip(seen, history, strict=True)] == history


def test_the_first_of_equally_good_epochs_is_kept():
    best = training.BestEpoch(None)
    best.set_model(network())
    for epoch, accuracy in enumerate([0.5, 0.7, 0.7, 0.6]):
        best.on_epoch_end(epoch, {"val_accuracy": accuracy})
    assert (best.epoch, best.accuracy) == (1, 0.7)


def test_early_stopping_counts_epochs_without_a_better_one():
    history = train(network(), epochs=30, early_stopping=2, learning_rate=1e-7, minimum_learning_rate=1e-7)
    best = next(row["epoch"] for row in history if row["chosen"])
    assert len(history) == best + 2 < 30


def test_equal_seeds_give_equal_weights_and_others_do_not():
    weights = []
    for seed in (0, 0, 1):
        net = network(seed)
        train(net, epochs=2, seed=seed, augment=AugmentParams(crop_padding=1, horizontal_flip=True))
        weights.append(np.concatenate([w.ravel() for w in net.get_weights()]))
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


def test_a_loss_that_is_no_number_stops_with_advice():
    net = network()
    net.get_layer("head").bias.assign([np.nan] * 4)
    with pytest.raises(training.TrainingError, match=r"nan in epoch 1\. Try a lower train\.learning_rate"):
        train(net)


def test_the_schedule_is_the_recipe_at_every_step():
    params = TrainParams(**RECIPE | {"warmup_epochs": 1.5})
    schedule = training.Schedule(params, steps_per_epoch=7)
    steps = np.arange(28)
    np.testing.assert_allclose(
        [float(schedule(step)) for step in steps], recipe.learning_rate(params, steps / 7), rtol=1e-4
    )


@pytest.mark.parametrize("everything", [False, True])
def test_norms_biases_and_positions_are_not_decayed(everything):
    """At a zero gradient AdamW only decays: what stays as it was is not decayed."""
    net = network()
    adamw = training.optimizer(
        net,
        TrainParams(**RECIPE | {"decay_everything": everything, "weight_decay": 0.5, "warmup_epochs": 0}),
        steps_per_epoch=1,
    )
    variables = net.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    adamw.build(variables)
    adamw.apply([keras.ops.zeros(v.shape) for v in variables])
    decayed = {v.path for v in variables if keras.ops.convert_to_numpy(v).max() < 1}
    exempt = {v.path for v in variables} - decayed
    if everything:
        assert not exempt
    else:
        assert all(path.endswith(("bias", "gamma", "beta")) or path.startswith("positions") for path in exempt)
        assert {"positions/table", "norm/gamma"} <= exempt and "head/kernel" in decayed


def test_batches_are_a_function_of_seed_epoch_and_step():
    """A later start gives what a longer stream gives from there on: the ground of an exact resume."""
    options = {
        "batch_size": 32,
        "classes": 4,
        "augment": AugmentParams(crop_padding=2, horizontal_flip=True),
        "seed": 3,
    }
    data = split(100, 0)
    whole = list(training.batches(data, epochs=range(3), **options))
    late = list(training.batches(data, epochs=range(2, 3), **options))
    assert [len(x) for x, _ in late] == [32, 32, 32, 4]
    for (x, y), (late_x, late_y) in zip(whole[8:], late, strict=True):
        np.testing.assert_array_equal(x, late_x)
        np.testing.assert_array_equal(y, late_y)
    assert any((a != b).any() for (a, _), (b, _) in zip(whole[:3], whole[4:7], strict=True))


def test_every_picture_is_seen_once_an_epoch():
    images = np.arange(100, dtype=np.uint8)[:, None, None, None]
    data = training.Split(images, np.arange(100) % 4)
    seen = [
        (int(pixel), int(target.argmax()))
        for x, y in training.batches(data, batch_size=32, classes=4, augment=PLAIN, seed=0, epochs=range(1))
        for pixel, target in zip(x.ravel(), y, strict=True)
    ]
    assert sorted(seen) == [(i, i % 4) for i in range(100)]
    assert seen != sorted(seen)


def test_progress_says_speed_and_time_left():
    lines = []
    training.train(
        network(), split(64, 0), split(16, 1), recipe=TrainParams(**RECIPE | {"epochs": 2, "warmup_epochs": 0}),
        augment=PLAIN, jit_compile=False, say=lines.append,
    )  # fmt: skip
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss ") and "images/s" in lines[0]
    assert lines[1].endswith("0:00 left")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (63, "1:03"), (3723, "1:02:03"), (59.7, "1:00")])
def test_clock(seconds, text):
    assert training.clock(seconds) == text


class Killed(BaseException):
    pass


class Fatal(states.States):
    """States after the n-th of which the process dies."""

    def __init__(self, top, count: float = math.inf) -> None:
        super().__init__(top, "f" * 40)
        self.count = count

    def save(self, content, arrays) -> None:
        super().save(content, arrays)
        self.count -= 1
        if self.count == 0:
            raise Killed


CHANGES = {"epochs": 3, "train_split": None, "augment": AugmentParams(crop_padding=1, horizontal_flip=True)}


def random_network(seed: int = 0):
    """With every kind of random number that a model draws while it is trained."""
    keras.utils.set_random_seed(seed)
    params = ModelParams(name="cct_2_3x1", width=32, dropout=0.1, attention_dropout=0.1, stochastic_depth=0.5)
    return model.build(resolve(params), image_shape=(8, 8, 1), classes=4)


@pytest.fixture(scope="module")
def undisturbed():
    net = random_network()
    return train(net, **CHANGES), net.get_weights()


def check_equal(net, history, undisturbed) -> None:
    assert history == undisturbed[0]
    for found, expected in zip(net.get_weights(), undisturbed[1], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kills", [[1], [6, 9], [21]])
def test_a_killed_run_ends_in_the_same_bits(tmp_path, monkeypatch, undisturbed, kills):
    """7 steps an epoch and a state after each; each start makes all anew."""
    monkeypatch.setenv("CCT_SAVE_SECONDS", "0")
    for count in kills:
        with pytest.raises(Killed), Fatal(tmp_path, count) as saved:
            train(random_network(), saved=saved, **CHANGES)
    with Fatal(tmp_path) as saved:
        content = saved.latest.content
        assert content["epoch"] * 7 + content["step"] == sum(kills)
        seen = []
        net = random_network(seed=5)  # whatever the process starts with, the state decides
        history = train(net, saved=saved, on_epoch=seen.append, **CHANGES)
    check_equal(net, history, undisturbed)
    assert [row["epoch"] for row in seen] == [row["epoch"] for row in history][content["epoch"] :]


def test_loss_scaling_and_early_stopping_go_on_too(tmp_path, monkeypatch):
    """The state of mixed_float16's optimizer, and the count of epochs without a better one."""
    monkeypatch.setenv("CCT_SAVE_SECONDS", "0")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        changes = CHANGES | {"epochs": 9, "early_stopping": 1, "learning_rate": 1e-7, "minimum_learning_rate": 1e-7}
        net = random_network()
        expected = train(net, **changes), net.get_weights()
        assert len(expected[0]) < 9
        with pytest.raises(Killed), Fatal(tmp_path, 11) as saved:
            train(random_network(), saved=saved, **changes)
        for _ in range(2):  # the second time from the last state, where there is nothing left to do
            with Fatal(tmp_path) as saved:
                net = random_network(seed=5)
                check_equal(net, train(net, saved=saved, **changes), expected)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("number", "place", "where"),
    [(signal.SIGINT, (1, 2), "in epoch 2 after step 2"), (signal.SIGTERM, (2, 0), "after epoch 2")],
)
def test_an_interrupt_is_met_between_two_steps(tmp_path, monkeypatch, undisturbed, number, place, where):
    class Asked(states.States):
        def save(self, content, arrays) -> None:
            if (content["epoch"], content["step"]) == place:
                os.kill(os.getpid(), number)
            super().save(content, arrays)

    monkeypatch.setenv("CCT_SAVE_SECONDS", "0")
    handler = signal.getsignal(number)
    with (
        pytest.raises(KeyboardInterrupt, match=f"^{where}; the same command goes on from there$"),
        Asked(tmp_path, "f" * 40) as saved,
    ):
        train(random_network(), saved=saved, **CHANGES)
    assert signal.getsignal(number) is handler
    with states.States(tmp_path, "f" * 40) as saved:
        assert (saved.latest.content["epoch"], saved.latest.content["step"]) == place
        net = random_network()
        check_equal(net, train(net, saved=saved, **CHANGES), undisturbed)


def test_the_second_interrupt_is_at_once():
    def twice(row) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    with pytest.raises(KeyboardInterrupt):
        train(network(), on_epoch=twice)
