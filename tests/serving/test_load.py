"""A small version of benchmarks/serving.py: what it checks holds, and what it measures is there."""

import sys

import pytest
from brightness import brightness_model
from clones import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import serving

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return brightness_model(tmp_path_factory.mktemp("load") / "model.keras")


def test_good_requests_are_answered_right_and_bad_ones_refused(model):
    found = serving.endure(model, 600)
    assert found["requests"] == 600 and 10 < found["malformed"] < 60
    assert found["wrong"] == 0, found["examples_of_wrong"]
    assert found["largest_difference"] < serving.TOLERANCE
    assert [*found["memory_mb"]] == ["started", "after 60", "after 300", "after 600"]
    assert all(megabytes > 0 for megabytes in found["memory_mb"].values())


def test_the_check_finds_wrong_answers(model, monkeypatch):
    """A server with another model is wrong in all good requests but those between the classes, and in no bad one."""
    other = brightness_model(model.with_name("other.keras"), classes=["bright", "dark"])
    command = serving.cct_serve
    monkeypatch.setattr(serving, "cct_serve", lambda path: command(other))
    found = serving.endure(model, 60)
    assert found["requests"] - found["malformed"] >= found["wrong"] > 40


@pytest.mark.attack  # a benchmark of a minute, which CI leaves out
def test_both_servers_are_measured(model):
    rows = serving.compare(model, turns=1, seconds=0.1)
    assert [row["clients"] for row in rows] == list(serving.CLIENTS)
    for row in rows:
        for name in ("cct", "mlflow"):
            assert row[name]["requests"] >= row["clients"] and 0 < row[name]["p50_ms"] <= row[name]["p99_ms"]
            assert row[name]["cpu_ms"] > 0 and row[name]["runtime"] == "Keras"
        middle, low, high = row["ratios"]["cct"]
        assert low <= middle <= high and [*row["ratios"]] == ["cct"]  # there is no ONNX file
