"""The fixture that makes trainings of the tests deterministic."""

import pytest


@pytest.fixture(scope="module")
def deterministic() -> None:
    """Equal trainings give equal bits on any number of threads. Process-wide, so another file may have changed it.

    Of the module, so that it is there before a fixture of the module trains.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
