"""Arbitrary tables are read or refused."""

import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_tables import history_csv, predictions_csv

from cct.evaluation.predictions import read_predictions
from cct.tables import TableError
from cct.training.history import read_history

within = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@within
@given(st.text(string.printable, max_size=60), st.integers(0), st.sampled_from(["history", "predictions"]))
def test_any_table_is_read_or_refused(tmp_path, inserted, place, kind):
    reader = {"history": read_history, "predictions": read_predictions}[kind]
    path = tmp_path / "a.csv"
    if kind == "history":
        history_csv(path)
    else:
        predictions_csv(path, "0,cat,dog,0.4,0.6", "1,dog,dog,0.1,0.9")
    text = path.read_text()
    place %= len(text)
    path.write_text(text[:place] + inserted + text[place:], newline="")
    try:
        reader(path)
    except TableError as error:
        assert str(path) in str(error)
