from pathlib import Path

import numpy as np
import pytest
from histories import make_history

from cct.errors import CCTError
from cct.evaluation.predictions import read_predictions, write_predictions
from cct.tables import TableError
from cct.training.history import averaged_is_better, best_accuracy, ema_columns, read_history, write_history


def history_csv(path: Path, **replaced: list) -> Path:
    columns = {name: list(values) for name, values in make_history(3).items()} | replaced
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def predictions_csv(path: Path, *rows: str, header: str = "index,true,predicted,p_cat,p_dog") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_history_is_read(tmp_path):
    history = read_history(history_csv(tmp_path / "h.csv", note=["x", "y", "z"]))
    expected = make_history(3)
    assert history.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(history[name], values)
        assert history[name].dtype == (np.int64 if name in ("epoch", "best") else np.float64)


def test_averaged_weights_have_columns_where_there_are_any(tmp_path):
    averaged = {name: np.array([3.0, 2.0, 1.0]) for name in ema_columns()} | {
        "ema_val_accuracy": np.array([0, 0.9, 0.5])
    }
    history = make_history(3) | averaged
    rows = [dict(zip(history, row, strict=True)) for row in zip(*history.values(), strict=True)]
    write_history(tmp_path / "h.csv", rows)
    found = read_history(tmp_path / "h.csv")
    assert found.keys() == history.keys()
    for name, values in history.items():
        np.testing.assert_array_equal(found[name], values)
    raw = make_history(3)["val_accuracy"]
    assert [best_accuracy(row) for row in rows] == [raw[0], 0.9, raw[2]]
    assert [averaged_is_better(row) for row in rows] == [False, True, raw[2] < 0.5]
    tied = {"val_accuracy": 0.5, "val_loss": 1.0, "ema_val_accuracy": 0.5, "ema_val_loss": 0.9}
    assert averaged_is_better(tied) and not averaged_is_better(tied | {"ema_val_loss": 1.0})


def test_one_column_of_averages_does_not_come_alone(tmp_path):
    with pytest.raises(TableError, match="has no column ema_val_accuracy"):
        read_history(history_csv(tmp_path / "h.csv", ema_val_loss=[1, 2, 3]))


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"best": [0, 0, 0]}, "exactly one epoch"),
        ({"best": [1, 0, 1]}, "exactly one epoch"),
        ({"best": [2, 0, -1]}, "exactly one epoch"),
        ({"val_loss": [1, 2, "x"]}, r"h\.csv, line 4: val_loss = 'x': must be a number"),
        ({"epoch": [1, 2, 2.5]}, r"line 4: epoch = '2\.5': must be a whole number"),
        ({"epoch": [1, 2, "3,4"]}, r"line 4: \d+ values for \d+ columns"),
    ],
)
def test_a_bad_history_is_refused(tmp_path, replaced, message):
    with pytest.raises(TableError, match=message):
        read_history(history_csv(tmp_path / "h.csv", **replaced))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        (b"", "no rows"),
        (b"epoch,chosen\n", "no rows"),
        (b"epoch,chosen\n1,1\n", "has no column train_loss, .*; it has: epoch, chosen"),
        (b"\xff\xfe\n", "cannot read"),
        (b'epoch\n"1\n', "cannot read"),
    ],
)
def test_what_is_no_history_is_refused(tmp_path, content, message):
    path = tmp_path / "h.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TableError, match=message):
        read_history(path)
    assert issubclass(TableError, CCTError)


def test_predictions_are_read(tmp_path):
    path = predictions_csv(
        tmp_path / "p.csv",
        '7,dog,"a,b",0.250000,0.750000',
        '9,"a,b","a,b",0.9,0.1',
        header='index,true,predicted,"p_a,b",p_dog',
    )
    index_n, labels_n, predicted_n, probabilities_nk, class_names = read_predictions(path)
    assert class_names == ["a,b", "dog"]
    assert (index_n.tolist(), labels_n.tolist(), predicted_n.tolist()) == ([7, 9], [1, 0], [0, 0])
    assert index_n.dtype == labels_n.dtype == predicted_n.dtype == np.int64
    np.testing.assert_array_equal(probabilities_nk, [[0.25, 0.75], [0.9, 0.1]])


@pytest.mark.parametrize(
    ("row", "header", "message"),
    [
        ("1,cat,cow,0.5,0.5", "index,true,predicted,p_cat,p_dog", r"line 2: predicted = 'cow' has no column"),
        ("1,cow,cat,0.5,0.5", "index,true,predicted,p_cat,p_dog", r"line 2: true = 'cow' has no column"),
        ("1,cat,dog,0.5,half", "index,true,predicted,p_cat,p_dog", "line 2: p_dog = 'half': must be a number"),
        ("1,cat,dog", "index,true,predicted", "no column p_<class>"),
        ("1,cat,0.5", "index,true,p_cat", "no column predicted"),
        ("1,cat,dog,0.5", "index,true,predicted,p_cat,p_dog", "line 2: 4 values for 5 columns"),
    ],
)
def test_bad_predictions_are_refused(tmp_path, row, header, message):
    with pytest.raises(TableError, match=message):
        read_predictions(predictions_csv(tmp_path / "p.csv", row, header=header))


def test_history_is_written_as_it_is_read(tmp_path):
    expected = make_history(3)
    rows = [{name: values[i].item() for name, values in expected.items()} for i in range(3)]
    write_history(tmp_path / "h.csv", rows)
    history = read_history(tmp_path / "h.csv")
    for name, values in expected.items():
        np.testing.assert_array_equal(history[name], values)


def test_predictions_are_written_as_they_are_read(tmp_path):
    probabilities_nk = np.array([[0.25, 0.75], [0.875, 0.125], [0.5, 0.5]])
    write_predictions(tmp_path / "p.csv", probabilities_nk, np.array([0, 0, 1]), ['a,"b"', "dog"])
    index_n, labels_n, predicted_n, read_nk, class_names = read_predictions(tmp_path / "p.csv")
    assert class_names == ['a,"b"', "dog"]
    assert (index_n.tolist(), labels_n.tolist(), predicted_n.tolist()) == ([0, 1, 2], [0, 0, 1], [1, 0, 0])
    np.testing.assert_array_equal(read_nk, probabilities_nk)
