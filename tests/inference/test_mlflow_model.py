"""The requirements of a logged model. `test_services.py` tests that it is served."""

from importlib.metadata import version

import pytest

from cct.errors import CCTError
from cct.inference.mlflow_model import requirements


def test_a_logged_model_requires_its_own_backend_and_no_other():
    pinned = requirements("tensorflow")
    assert f"tensorflow=={version('tensorflow')}" in pinned and f"keras=={version('keras')}" in pinned
    assert {line.partition("==")[0] for line in pinned}.isdisjoint({"jax", "torch"})


@pytest.mark.services
def test_a_model_trained_on_jax_requires_jax_and_not_tensorflow():
    pinned = requirements("jax")
    assert f"jax=={version('jax')}" in pinned
    assert not any(line.startswith("tensorflow") for line in pinned)


def test_a_backend_that_is_not_installed_is_refused():
    with pytest.raises(CCTError, match="would need no-such-backend, which is not installed"):
        requirements("no-such-backend")
