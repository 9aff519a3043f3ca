"""The whole training loop."""

import itertools
import threading

import numpy as np
import pytest
from patience import HUNG_S
from trainings import RANDOM, accuracy_of, network, split, train

from cct.models.saving import predict_logits
from cct.tasks.image_classification.training import transforms
from cct.training.batches import Examples, read_ahead, train_batches
from cct.training.callbacks import TrainingError
from cct.training.history import best_accuracy, best_row, history_columns

pytestmark = pytest.mark.usefixtures("deterministic")


def test_each_step_follows_the_gradient():
    """With all examples in a batch, nothing random and a small rate, the loss falls at every step."""
    net = network(attention_dropout=0.0, stochastic_depth=0.0)
    history = train(
        net, epochs=6, batch_size=200, learning_rate=1e-4, schedule="constant", warmup_epochs=0, weight_decay=0.0
    )
    losses = [row["train_loss"] for row in history]
    assert losses == sorted(losses, reverse=True) and len(set(losses)) == 6


def test_it_ends_with_the_weights_of_the_best_epoch():
    net, seen, val = network(), [], split(80, 1)
    history = train(net, on_epoch=seen.append, epochs=6)
    best = best_row(history)
    assert sum(row["best"] for row in history) == 1
    assert best["val_accuracy"] == max(row["val_accuracy"] for row in history)
    assert accuracy_of(net, val) == pytest.approx(best["val_accuracy"])
    assert [{**row, "best": r["best"]} for row, r in zip(seen, history, strict=True)] == history
    assert [*history[0]] == list(history_columns())


def test_equal_seeds_give_equal_weights_and_others_do_not():
    weights = []
    for seed in (0, 0, 1):
        net = network(seed)
        train(net, epochs=2, seed=seed, augment=RANDOM)
        weights.append(np.concatenate([w.ravel() for w in net.get_weights()]))
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


def test_averaged_weights_are_measured_beside_the_raw_ones():
    changes = {"epochs": 3, "learning_rate": 5e-2, "schedule": "constant"}
    without = train(network(), **changes)
    net = network()
    history = train(net, ema_decay=0.9, **changes)
    for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):  # training continues with the raw ones
        assert [row[name] for row in history] == [row[name] for row in without]
    assert [row["ema_val_loss"] for row in history] != [row["val_loss"] for row in history]
    best = best_row(history)
    assert best_accuracy(best) == max(map(best_accuracy, history))
    assert accuracy_of(net, split(80, 1)) == pytest.approx(best_accuracy(best))


def test_more_accumulation_than_batches_is_refused():
    with pytest.raises(TrainingError, match=r"accumulation_steps = 15 is more than the 14 batches of all 2"):
        train(network(), epochs=2, gradient_accumulation_steps=15)


def test_more_steps_than_rates_fit_into_memory_are_refused():
    with pytest.raises(
        TrainingError, match=r"epochs = 100000 of 1,000 batches are 100,000,000 steps, more than 50,000,"
    ):
        train(network(), epochs=100_000, batch_size=1, train_split=split(1000, 0))


def test_labels_are_smoothed_in_training_and_not_in_what_is_reported():
    """Before the first update is felt: the loss of one batch, at a rate of next to nothing, by hand."""
    data, net = split(32, 0), network()
    logits = predict_logits(net, data.inputs, batch_size=32)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    targets = np.eye(4)[data.labels]
    for smoothing in (0.0, 0.2):
        (row,) = train(net, train_split=data, val_split=data, epochs=1, batch_size=32, warmup_epochs=0,
                       learning_rate=1e-9, min_learning_rate=0.0, label_smoothing=smoothing)  # fmt: skip
        plain = -(targets * log_p).sum(axis=1).mean()
        assert row["val_loss"] == pytest.approx(plain, rel=1e-4)
        smoothed = -(((1 - smoothing) * targets + smoothing / 4) * log_p).sum(axis=1).mean()
        assert float(net.loss(targets, logits)) == pytest.approx(smoothed, rel=1e-4)


def test_batches_are_a_function_of_seed_epoch_and_step():
    """A later start gives what a longer stream gives from there on: the ground of an exact resume."""
    data = split(100, 0)
    options = {"batch_size": 32, "classes": 4, "seed": 3, "transform_of": transforms(data, RANDOM, 3)}
    whole = list(train_batches(data, epochs=range(3), **options))
    late = list(train_batches(data, epochs=range(2, 3), **options))
    assert [len(x) for x, _ in late] == [32, 32, 32, 4]
    for (x, y), (late_x, late_y) in zip(whole[8:], late, strict=True):
        np.testing.assert_array_equal(x, late_x)
        np.testing.assert_array_equal(y, late_y)
    assert any((a != b).any() for (a, _), (b, _) in zip(whole[:3], whole[4:7], strict=True))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_batches_are_made_ahead_on_one_thread_in_their_order(count):
    made, threads, go = [], set(), [threading.Event() for _ in range(6)]

    def numbers():
        for number in range(6):
            made.append(number)
            threads.add(threading.current_thread().name)
            go[number].set()
            yield number

    ahead = read_ahead(numbers(), count)
    assert next(ahead) == 0
    assert go[count].wait(HUNG_S)  # while 0 is used
    assert list(ahead) == [1, 2, 3, 4, 5] and made == list(range(6)) and threads == {"batches_0"}


def test_an_error_in_a_batch_made_ahead_comes_in_its_turn_and_an_end_ends_the_thread():
    def fails():
        yield 1
        raise ValueError("bad batch")

    ahead = read_ahead(fails())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="bad batch"):
        next(ahead)
    endless = read_ahead(itertools.count())
    assert next(endless) == 0
    endless.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_every_image_is_seen_once_an_epoch():
    images = np.arange(100, dtype=np.uint8)[:, None, None, None]
    data = Examples(images, np.arange(100) % 4)
    seen = [
        (int(pixel), int(target.argmax()))
        for x, y in train_batches(data, batch_size=32, classes=4, seed=0, epochs=range(1))
        for pixel, target in zip(x.ravel(), y, strict=True)
    ]
    assert sorted(seen) == [(i, i % 4) for i in range(100)]
    assert seen != sorted(seen)
