"""`cct serve` of a model of texts: the same answers as `cct.load`, and one sentence for what is no text."""

from pathlib import Path

import keras
import pytest
from bad_requests import TEXTS
from exchange import post_json, request, send
from served import served
from small_models import exported
from text_models import FACTS, META, model_params

import cct
from cct.models.names import CUSTOM, MODELS
from cct.models.names import TEXTS as TASK
from cct.models.saving import save_model
from cct.serving.texts import READERS
from cct.tasks.text_classification.inference import NO_KNOWN_WORD
from cct.tasks.text_classification.training import build

SENTENCES = ["The film was very good", "a bad, bad film", "something else"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    keras.utils.set_random_seed(2)
    save_model(build(model_params(), META, Path()), folder / "model.keras", facts=FACTS)
    return folder


@pytest.fixture(scope="module", params=["keras", "onnx"])
def server(request, folder):
    if request.param == "onnx":
        exported(folder / "model.keras")
    with served(folder / "model.keras", folder, limits={"letters": 50_000, "inputs": 4}) as running:
        yield running


def test_texts_have_the_answers_of_cct_load(server, folder):
    expected = cct.load(folder / "model.keras").predict(SENTENCES)
    rows = post_json(server.port, {"texts": SENTENCES}).json["predictions"]
    assert [row["input"] for row in rows] == ["text 0", "text 1", "text 2"]
    assert [row["label"] for row in rows] == expected.labels
    assert [row["probability"] for row in rows] == pytest.approx(expected.confidences.tolist(), abs=2e-6)
    plain = send(
        server.port, request("POST", "/predict", SENTENCES[0].encode(), Content_Type="text/plain; charset=utf-8")
    )
    assert plain.json["predictions"] == rows[:1]


def test_the_words_that_the_model_looked_at(server, folder):
    found = post_json(server.port, {"texts": SENTENCES[:1]}, "/explain").json
    assert found["words"] == ["the ", "film ", "was ", "very ", "good "]
    assert [one["title"] for one in found["maps"]] == ["layer 1", "layer 2", "pooling"]
    attention = cct.load(folder / "model.keras").explain(SENTENCES[0]).attention
    for one, (_, shares) in zip(found["maps"], attention.titled(), strict=True):
        assert one["shares"] == pytest.approx(shares[0, :5].tolist(), abs=2e-6)


def test_a_text_without_a_known_word_is_unsure_and_says_why(server):
    known, unknown = post_json(server.port, {"texts": [SENTENCES[0], "Guten Tag"]}).json["predictions"]
    assert unknown["unsure"] and unknown["warning"] == NO_KNOWN_WORD and "warning" not in known
    found = post_json(server.port, {"texts": ["Guten Tag"]}, "/explain").json
    assert found["unsure"] and found["warning"] == NO_KNOWN_WORD and found["label"] == unknown["label"]


@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_half_a_letter_is_answered(server, path):
    """JSON can name it, and UTF-8 cannot write it."""
    answer = post_json(server.port, b'{"texts": ["good \\ud800 film"]}', path=path)
    assert answer.status == 200
    assert path == "/predict" or answer.json["words"] == ["good ", "? ", "film "]


def test_the_words_of_the_vocabulary_stay_on_the_server(server):
    facts = send(server.port, request("GET", "/model")).json["input"]
    assert facts["vocabulary_size"] == len(META["vocabulary"]) and "vocabulary" not in facts


def test_the_server_describes_its_texts(server):
    facts = send(server.port, request("GET", "/model")).json
    assert facts["task"] == "text_classification" and facts["input"]["max_length"] == META["max_length"]
    api = send(server.port, request("GET", "/openapi.json")).json
    assert [*api["paths"]["/predict"]["post"]["requestBody"]["content"]] == [*READERS]
    assert "Classifies texts" in api["info"]["description"]
    docs = send(server.port, request("GET", "/docs")).body.decode()
    assert "How far is it?" in docs and "cat.jpg" not in docs


def test_a_bad_text_among_good_ones_has_its_error(server):
    rows = post_json(server.port, {"texts": ["good", "", 7, "x" * 50_001]}).json["predictions"]
    assert [row.get("error") for row in rows] == [None, "empty", "not a text", "50,001 letters, more than 50,000"]


@pytest.mark.parametrize("bad", TEXTS, ids=lambda bad: bad.what)
def test_a_bad_request_has_one_sentence(server, bad):
    answer = send(server.port, bad.content)
    assert (answer.status, [*answer.json]) == (bad.status, ["error"]) and bad.says(answer.json["error"]), answer.json


def test_refused_texts_are_counted(server):
    post_json(server.port, {"texts": [""]})
    assert server.metric('cct_inputs_total{result="refused"}') > 0


@pytest.mark.exports
@pytest.mark.parametrize("name", [name for name in MODELS[TASK] if name not in CUSTOM])
def test_every_named_model_is_served(name, tmp_path):
    fields = {"name": name, "num_layers": None, "embed_dim": None}
    keras.utils.set_random_seed(3)
    save_model(build(model_params(**fields), META, tmp_path), tmp_path / "model.keras", facts=FACTS)
    expected = cct.load(tmp_path / "model.keras").predict(SENTENCES)
    exported(tmp_path / "model.keras")
    with served(tmp_path / "model.keras", tmp_path) as server:
        assert "ONNX Runtime" in server.log.read_text()
        rows = post_json(server.port, {"texts": SENTENCES}).json["predictions"]
    assert [row["label"] for row in rows] == expected.labels
    assert [row["probability"] for row in rows] == pytest.approx(expected.confidences.tolist(), abs=2e-6)
