"""Every request and file of the table has its answer, and the server answers on as if nothing had been."""

import pytest
from bad_requests import ALL, JSON, LIMITS, PAGE, filled_page, image
from brightness import bright_probability, brightness_model
from exchange import post_files, request, send
from served import Server, served


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    with served(brightness_model(folder / "model.keras"), folder, limits=LIMITS) as running:
        yield running


@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad.what)
def test_a_bad_request_has_one_sentence(server: Server, bad):
    logged = len(server.log.read_text())
    answer = send(server.port, bad.content)
    assert (answer.status, answer.headers["content-type"]) == (bad.status, JSON)
    assert answer.json.keys() == {"error"}
    sentence = answer.json["error"]
    assert bad.says(sentence), sentence
    assert "\n" not in sentence and "Traceback" not in sentence and len(sentence) < 250
    good = post_files(server.port, ("a.png", image()))
    assert good.status == 200 and good.json["predictions"][0]["probability"] > 0.5
    assert "Traceback" not in server.log.read_text()[logged:] and server.process.poll() is None


def test_the_table_is_large_and_in_the_documentation():
    assert len(ALL) == len({bad.what for bad in ALL}) >= 40
    assert filled_page() == PAGE.read_text(encoding="utf-8"), (
        "run PYTHONPATH=tests python tests/serving/bad_requests.py"
    )


def test_a_method_that_is_not_allowed_has_those_that_are(server: Server):
    assert send(server.port, request("GET", "/predict")).headers["allow"] == "POST"


def test_bad_images_leave_good_ones_alone(server: Server):
    answer = post_files(server.port, ("a.png", image()), ("b.png", b"text"), ("c.png", image("JPEG")), ("d.png", b""))
    rows = answer.json["predictions"]
    assert answer.status == 200 and [row["input"] for row in rows] == ["a.png", "b.png", "c.png", "d.png"]
    assert [set(row) for row in rows[1::2]] == [{"input", "error"}] * 2
    assert rows[0]["label"] == rows[2]["label"] == "dark"
    assert rows[0]["probability"] == pytest.approx(1 - bright_probability(0), abs=1e-6)
    assert rows[3]["error"] == "empty"
