"""The metrics of every epoch."""

import keras
import numpy as np
import pytest
from trainings import network, split, train

from cct.evaluation.figures.curves import plot_training_curves
from cct.models.saving import predict_logits
from cct.tracking.names import epoch_metrics
from cct.training.history import averaged_is_better, read_history, write_history
from cct.training.metrics import EPOCH_METRICS, EpochMetric

pytestmark = pytest.mark.usefixtures("deterministic")


def test_another_entry_of_the_table_is_in_history_mlflow_and_curves(tmp_path, monkeypatch):
    top_2 = EpochMetric(
        "Top 2",
        higher_is_better=True,
        percent=True,
        make=lambda name: keras.metrics.TopKCategoricalAccuracy(k=2, name=name),
    )
    monkeypatch.setitem(EPOCH_METRICS, "top_2", top_2)
    net, val = network(), split(80, 1)
    history = train(net, epochs=1, val_split=val, ema_decay=0.5)
    write_history(tmp_path / "history.csv", history)
    table = read_history(tmp_path / "history.csv")
    assert {"train_top_2", "val_top_2", "ema_val_top_2"} <= table.keys()
    assert {"train/top_2", "val/top_2", "val/ema_top_2"} <= epoch_metrics(history[0]).keys()
    two = predict_logits(net, val.inputs, batch_size=32).argsort(axis=1)[:, -2:]
    share = (two == val.labels[:, None]).any(axis=1).mean()
    assert table["ema_val_top_2" if averaged_is_better(history[0]) else "val_top_2"][0] == pytest.approx(share)
    monkeypatch.setitem(EPOCH_METRICS, "younger", top_2)  # than this history, which can still be read and drawn
    table = read_history(tmp_path / "history.csv")
    assert "train_younger" not in table
    panel = next(axes for axes in plot_training_curves(table).axes if axes.get_title() == "Top 2")
    np.testing.assert_array_equal(panel.lines[2].get_ydata(), table["val_top_2"])
