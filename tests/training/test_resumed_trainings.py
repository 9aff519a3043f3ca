"""A killed or interrupted training resumes and ends in the bits of an uninterrupted training."""

import fcntl
import math
import os
import resource
import signal
import subprocess
import sys
import termios
import time

import keras
import numpy as np
import pytest
from patience import HUNG_S
from trainings import CHANGES, RANDOM, network, random_network, train

from cct.training.checkpoints import CheckpointStore
from cct.training.interrupts import deferred_interrupts

pytestmark = pytest.mark.usefixtures("deterministic")


class Killed(BaseException):
    pass


class Fatal(CheckpointStore):
    """Checkpoints; after the n-th of them the process dies."""

    def __init__(self, top, count: float = math.inf) -> None:
        super().__init__(top, "f" * 40)
        self.count = count

    def save(self, content, arrays) -> bool:
        written = super().save(content, arrays)
        self.count -= 1
        if self.count == 0:
            raise Killed
        return written


@pytest.fixture(scope="module")
def undisturbed(deterministic):
    net = random_network()
    return train(net, **CHANGES), net.get_weights()


def check_equal(net, history, undisturbed) -> None:
    assert history == undisturbed[0]
    for found, expected in zip(net.get_weights(), undisturbed[1], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_killed_run_ends_in_the_same_bits(tmp_path, monkeypatch, undisturbed):
    """7 steps an epoch and a checkpoint after each; each start makes all anew. The last has no step left."""
    monkeypatch.setenv("CCT_CHECKPOINT_SECONDS", "0")
    kills = [5, 16]
    for count in kills:
        with pytest.raises(Killed), Fatal(tmp_path, count) as saved:
            train(random_network(), saved=saved, **CHANGES)
    with Fatal(tmp_path) as saved:
        content = saved.latest.content
        assert content["epoch"] * 7 + content["step"] == sum(kills) == 21
        net = random_network(seed=5)  # whatever the process starts with, the checkpoint decides
        history = train(net, saved=saved, **CHANGES)
    check_equal(net, history, undisturbed)


def test_fine_tuning_resumes_too(tmp_path, monkeypatch):
    """With frozen parts and a rate for each layer, from a checkpoint within the second epoch."""
    monkeypatch.setenv("CCT_CHECKPOINT_SECONDS", "0")
    changes = CHANGES | {"optimizer": "adamw", "init_from": "pretrained/a.keras", "freeze": "tokenizer"}
    changes |= {"layer_decay": 0.7, "epochs": 2}
    net = random_network()
    undisturbed = train(net, **changes), net.get_weights()
    with pytest.raises(Killed), Fatal(tmp_path, 9) as saved:
        train(random_network(), saved=saved, **changes)
    with Fatal(tmp_path) as saved:
        assert (saved.latest.content["epoch"], saved.latest.content["step"]) == (1, 2)
        net = random_network(seed=5)  # its frozen weights too are the checkpoint's
        check_equal(net, train(net, saved=saved, **changes), undisturbed)


def test_loss_scaling_and_early_stopping_resume_too(tmp_path, monkeypatch):
    """The state of mixed_float16's optimizer, and the count of epochs without a better one."""
    monkeypatch.setenv("CCT_CHECKPOINT_SECONDS", "0")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        changes = {
            "epochs": 9,
            "early_stopping_patience": 1,
            "learning_rate": 1e-12,  # float16 loses such changes, so no epoch is better than the first
            "min_learning_rate": 0.0,
        }
        net = network(dropout=0.1)
        expected = train(net, **changes), net.get_weights()
        assert len(expected[0]) == 2
        with pytest.raises(Killed), Fatal(tmp_path, 11) as saved:
            train(network(dropout=0.1), saved=saved, **changes)
        for _ in range(2):  # the second time from the last checkpoint, where nothing is left to do
            with Fatal(tmp_path) as saved:
                net = network(seed=5, dropout=0.1)
                check_equal(net, train(net, saved=saved, **changes), expected)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.fixture
def _interruptible():
    """Handlers as a command has them, also where the tests run under nohup."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_interruptible")
def test_an_interrupt_is_met_between_two_steps(tmp_path, monkeypatch):
    monkeypatch.setenv("CCT_CHECKPOINT_SECONDS", "0")
    changes = {"epochs": 3, "augment": RANDOM}
    net = network(dropout=0.1)
    undisturbed = train(net, **changes), net.get_weights()
    for number, place, where in (
        (signal.SIGINT, (1, 2), "in epoch 2 after step 2"),
        (signal.SIGTERM, (2, 0), "after epoch 2"),
    ):

        class Asked(CheckpointStore):
            def save(self, content, arrays, number=number, place=place) -> bool:
                if (content["epoch"], content["step"]) == place:
                    os.kill(os.getpid(), number)
                return super().save(content, arrays)

        handler = signal.getsignal(number)
        with (
            pytest.raises(KeyboardInterrupt, match=f"^{where}; the same command resumes there$"),
            Asked(tmp_path, "f" * 40) as saved,
        ):
            train(network(dropout=0.1), saved=saved, **changes)
        assert signal.getsignal(number) is handler
        with CheckpointStore(tmp_path, "f" * 40) as saved:
            assert (saved.latest.content["epoch"], saved.latest.content["step"]) == place
    seen = []
    with CheckpointStore(tmp_path, "f" * 40) as saved:
        net = network(dropout=0.1)
        history = train(net, saved=saved, on_epoch=seen.append, **changes)
    check_equal(net, history, undisturbed)
    assert [row["epoch"] for row in seen] == [3]  # only what is new


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_ignored_stays_ignored(number):
    """As nohup and `&` in a script have it."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with deferred_interrupts() as stop_requested:
            os.kill(os.getpid(), number)
            assert not stop_requested.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop_requested.is_set()
    finally:
        signal.signal(number, before)


@pytest.mark.usefixtures("_interruptible")
def test_a_resume_is_promised_only_where_the_checkpoint_is_written(tmp_path, monkeypatch):
    """A full disk: the file size limit of this process stands for it."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(KeyboardInterrupt, match=r"^after epoch 1$"), CheckpointStore(tmp_path, "f" * 40) as saved:
            train(network(), saved=saved, epochs=2, on_epoch=lambda row: os.kill(os.getpid(), signal.SIGINT))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not list(tmp_path.glob("*/*.npz"))


CLOSED = """
import sys, time
from pathlib import Path
from cct.entry import entry_point, log
from cct.training.interrupts import deferred_interrupts
ready, checkpoint, proceed = map(Path, sys.argv[1:])

@entry_point
def main():
    with deferred_interrupts() as stop_requested:
        ready.touch()
        while not proceed.exists():
            time.sleep(0.01)
        assert stop_requested.is_set()
        checkpoint.write_text("written")
        log.info("a line for the terminal")
        raise KeyboardInterrupt("after it")

sys.exit(main())
"""


def test_a_closed_terminal_leaves_time_for_the_checkpoint(tmp_path):
    """The shell and the kernel both send SIGHUP, and nothing can be written to the terminal any more."""
    terminal, inner = os.openpty()
    files = ready, checkpoint, proceed = [tmp_path / name for name in ("ready", "checkpoint", "proceed")]
    process = subprocess.Popen(
        [sys.executable, "-c", CLOSED, *files],
        stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(inner)
    until = time.monotonic() + HUNG_S
    while not ready.exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    os.close(terminal)
    for _ in range(2):
        process.send_signal(signal.SIGHUP)
    proceed.touch()
    assert process.wait(HUNG_S) == 130
    assert checkpoint.read_text() == "written"


@pytest.mark.usefixtures("_interruptible")
def test_the_second_interrupt_is_at_once():
    def twice(row) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    with pytest.raises(KeyboardInterrupt):
        train(network(), on_epoch=twice)
