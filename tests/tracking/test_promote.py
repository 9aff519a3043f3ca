"""The rule by which a model becomes champion, on runs and models in a real SQLite store."""

import contextlib
import sqlite3
import threading
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import pytest

from cct.errors import CCTError
from cct.repository import repository_root
from cct.tracking import promote as promotion
from cct.tracking.promote import promote
from cct.tracking.store import Store


@pytest.fixture
def store(here) -> Store:
    """The store, without what an earlier test has registered."""
    store = Store()
    for model in store.client.search_registered_models():
        store.client.delete_registered_model(model.name)
    return store


def a_run(store: Store, model: str, data: str = "digits", test: str = "0123456789", **metrics: float) -> str:
    """A finished run with a model of this digest, on data of this name and test digest; its identifier."""
    tags = {"cct.model_sha256": model, "cct.data_name": data, "cct.data_test_digest": test}
    run_id = store.client.create_run(store.experiment, tags=tags).info.run_id
    stored = mlflow.initialize_logged_model(name="model", source_run_id=run_id)
    folder = Path(url2pathname(urlsplit(stored.artifact_location).path))
    folder.mkdir(parents=True)
    (folder / "MLmodel").touch()
    store.client.finalize_logged_model(stored.model_id, "READY")
    store.client.log_outputs(run_id, [mlflow.entities.LoggedModelOutput(stored.model_id, step=0)])
    for name, value in metrics.items():
        store.client.log_metric(run_id, name.replace("__", "/"), value)
    return run_id


def champion(store: Store, registered: str = "cct-digits-01234567") -> str:
    return store.client.get_model_version_by_alias(registered, "champion").run_id


def by(store: Store, run_id: str, metric: str = "test/accuracy", *, force: bool = False) -> str:
    return promote(store, run_id, metric=metric, force=force)


def test_the_first_is_champion_and_its_equal_is_no_second(store):
    first = a_run(store, "a", test__accuracy=0.5)
    assert "models:/cct-digits-01234567@champion is version 1, test/accuracy = 0.5000" in by(store, first)
    assert "is this model already" in by(store, a_run(store, "a", test__accuracy=0.5))
    assert champion(store) == first


def test_a_better_one_must_be_above_what_the_champion_could_have_reached_by_chance(store):
    by(store, a_run(store, "a", test__accuracy=0.5, test__accuracy_low=0.4, test__accuracy_high=0.6))
    second = a_run(store, "b", test__accuracy=0.6)
    with pytest.raises(CCTError, match=r"is not above 0\.6000, which the champion \(version 1\) could have reached"):
        by(store, second)
    third = a_run(store, "c", test__accuracy=0.6001)
    assert "version 2, test/accuracy = 0.6001, in place of version 1 (0.6000 at best)" in by(store, third)
    assert champion(store) == third
    assert "version 3" in by(store, second, force=True)
    assert champion(store) == second


@pytest.mark.parametrize("metric", ["test/loss", "test/calibration_error"])
def test_less_is_better_where_the_metric_says_so(store, metric):
    name = metric.replace("/", "__")
    by(store, a_run(store, "a", **{name: 0.5}), metric)
    worse, better = a_run(store, "b", **{name: 0.6}), a_run(store, "c", **{name: 0.4})
    with pytest.raises(CCTError, match=r"is not below 0\.5000, which the champion \(version 1\) has"):
        by(store, worse, metric)
    by(store, better, metric)
    assert champion(store) == better


def test_what_cannot_be_compared_is_refused(store):
    with pytest.raises(CCTError, match=r"has no result 'test/acuracy'; it has: test/accuracy$"):
        by(store, a_run(store, "a", test__accuracy=0.5), "test/acuracy")
    without = store.client.create_run(store.experiment).info.run_id
    with pytest.raises(CCTError, match="has no model: its training did not end"):
        by(store, without)
    untagged = a_run(store, "a", data="", test__accuracy=0.5)
    with pytest.raises(CCTError, match="does not say on which data set it was tested: run cct track first"):
        by(store, untagged)
    by(store, a_run(store, "a", test__accuracy=0.5))
    with pytest.raises(CCTError, match=r"the champion \(version 1\) has no test/loss: compare by another metric"):
        by(store, a_run(store, "b", test__loss=0.5), "test/loss")


def test_a_champion_whose_run_is_gone_gives_way_by_force_alone(store):
    gone, other = a_run(store, "a", test__accuracy=0.5), a_run(store, "b", test__accuracy=0.9)
    by(store, gone)
    with sqlite3.connect(repository_root() / "mlflow.db") as database:  # as `mlflow gc` does
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("DELETE FROM runs WHERE run_uuid = ?", (gone,))
    with pytest.raises(CCTError, match=r"the run of the champion \(version 1\) is gone, .*: --force makes this one"):
        by(store, other)
    assert "version 2" in by(store, other, force=True) and champion(store) == other


def test_each_data_set_has_its_own_champion(store):
    """98 % on digits is no answer to 84 % on CIFAR-10, nor to 84 % on other digits of that name."""
    runs = {
        "cct-cifar10-01234567": a_run(store, "a", "cifar10", test__accuracy=0.84),
        "cct-digits-01234567": a_run(store, "b", "digits", test__accuracy=0.98),
        "cct-digits-76543210": a_run(store, "c", "digits", "7654321012", test__accuracy=0.5),
    }
    for run in runs.values():
        by(store, run)
    assert {name: champion(store, name) for name in runs} == runs


def test_of_two_promotions_at_once_one_wins(store):
    """Both are better than the champion, each before it knows of the other."""
    by(store, a_run(store, "a", test__accuracy=0.5))
    two = [a_run(store, model, test__accuracy=0.9) for model in "bc"]
    said, barrier = [], threading.Barrier(2)

    def run(run_id: str) -> None:
        barrier.wait()
        try:
            said.append(by(store, run_id))
        except CCTError as error:
            said.append(str(error))

    threads = [threading.Thread(target=run, args=[run_id]) for run_id in two]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sum(words in text for text in said) for words in ("is version 2", "is not above 0.9000")] == [1, 1], said


def test_a_promotion_on_another_machine_meanwhile_is_noticed(store, monkeypatch):
    by(store, a_run(store, "a", test__accuracy=0.5))
    better, mine = a_run(store, "b", test__accuracy=0.7), a_run(store, "c", test__accuracy=0.9)
    register = promotion._register

    def meanwhile(*words):
        version = register(*words)
        monkeypatch.setattr(promotion, "_register", register)
        monkeypatch.setattr(promotion, "FileLock", lambda path: contextlib.nullcontext())  # not this machine's
        by(store, better)
        return version

    monkeypatch.setattr(promotion, "_register", meanwhile)
    with pytest.raises(CCTError, match=r"got another champion in the meantime \(version 3\): run cct promote again"):
        by(store, mine)
    assert champion(store) == better


def test_an_alias_that_somebody_removes_meanwhile_is_noticed(store, monkeypatch):
    by(store, a_run(store, "a", test__accuracy=0.5))
    register = promotion._register

    def meanwhile(store, registered, *words):
        store.client.delete_registered_model_alias(registered, "champion")
        return register(store, registered, *words)

    monkeypatch.setattr(promotion, "_register", meanwhile)
    with pytest.raises(CCTError, match=r"^cct-digits-01234567 lost its champion in the meantime: run cct promote"):
        by(store, a_run(store, "b", test__accuracy=0.9))
