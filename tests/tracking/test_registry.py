"""The tracker that the environment chooses."""

import subprocess
import sys

import pytest
from clones import ROOT

from cct.errors import CCTError
from cct.tracking.address import tracking_uri
from cct.tracking.base import Tracker
from cct.tracking.registry import TRACKERS, make_tracker, require_tracking, tracker_name


@pytest.mark.parametrize(
    ("uri", "tracker", "chosen"),
    [
        ("", "", "mlflow"),
        ("none", "", "none"),
        (" none ", "", "none"),
        ("none", "mlflow", "none"),
        ("sqlite:///other.db", "none", "none"),
    ],
)
def test_the_environment_chooses(monkeypatch, uri, tracker, chosen):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("CCT_TRACKER", tracker)
    assert tracker_name() == chosen


@pytest.mark.parametrize(("uri", "address"), [(" http://host ", "http://host"), (" ", f"sqlite:///{ROOT}/mlflow.db")])
def test_spaces_around_an_address_do_not_count(monkeypatch, uri, address):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert tracking_uri() == address


def test_a_name_that_is_not_there_is_refused_with_those_that_are(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setenv("CCT_TRACKER", "wandb")
    with pytest.raises(CCTError, match=f"CCT_TRACKER = 'wandb': must be one of {', '.join(TRACKERS)}$"):
        make_tracker()


def test_none_does_nothing_and_does_not_import_mlflow(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none")
    assert type(make_tracker()) is Tracker
    script = "import sys, cct.tracking.registry as r; r.make_tracker(); print('mlflow' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == "False\n"


def test_a_command_that_needs_mlflow_refuses_another_tracker(monkeypatch):
    require_tracking()
    monkeypatch.setitem(TRACKERS, "mine", "cct.tracking.base:Tracker")
    for name in ("none", "mine"):
        monkeypatch.setenv("CCT_TRACKER", name)
        with pytest.raises(CCTError, match=f"needs MLflow, but the tracker is {name}: unset CCT_TRACKER"):
            require_tracking()
