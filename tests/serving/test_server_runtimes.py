"""ONNX Runtime answers where its file fits the `.keras` file, and the heat map comes from Keras."""

import asyncio
import base64
import importlib.util
import io
import shutil
import signal

import numpy as np
import pytest
from brightness import brightness_model
from exchange import post_files, post_json, request, send
from patience import HUNG_S
from PIL import Image
from served import served
from small_models import attention_model, copied, exported, overflowing_model

import cct
from cct.errors import CCTError
from cct.serving.app import make_app
from cct.serving.limits import parse_limits
from cct.serving.models import open_model_to_serve
from cct.serving.service import Service

needs_onnx = pytest.mark.skipif(not importlib.util.find_spec("onnxruntime"), reason="ONNX Runtime is not installed")


def gradient() -> bytes:
    values = np.linspace(0, 255, 8 * 6 * 3).astype(np.uint8).reshape(8, 6, 3)
    Image.fromarray(values).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model and, where ONNX Runtime is installed, its export."""
    folder = tmp_path_factory.mktemp("models")
    attention_model(folder / "model.keras")
    if importlib.util.find_spec("onnxruntime"):
        exported(folder / "model.keras")
    return folder


@needs_onnx
def test_onnx_answers_and_keras_explains(folder, tmp_path):
    model = cct.load(folder / "model.keras")
    expected = model.explain(gradient())
    with served(folder / "model.keras", tmp_path) as server:
        assert "computed by ONNX Runtime" in server.log.read_text()
        facts = send(server.port, request("GET", "/model")).json
        assert (facts["runtime"], facts["file"], facts["explains"]) == ("ONNX Runtime", "model.onnx", True)
        (row,) = post_files(server.port, ("a.png", gradient())).json["predictions"]
        assert row["label"] == expected.predictions.labels[0]
        assert row["probability"] == pytest.approx(expected.predictions.confidences[0], abs=1e-5)
        found = post_files(server.port, ("a.png", gradient()), path="/explain")
        assert found.status == 200
        assert [one["label"] for one in found.json["top"]] == [name for name, _ in expected.predictions.top(2)[0]]
        maps = {one["title"]: one["shares"] for one in found.json["maps"]}
        assert list(maps) == ["layer 1", "layer 2", "pooling"]
        for title, shares_bhw in expected.attention.titled():
            np.testing.assert_allclose(maps[title], shares_bhw[0], atol=1e-5)
        with Image.open(io.BytesIO(base64.b64decode(found.json["image"].partition(",")[2]))) as image:
            np.testing.assert_array_equal(np.asarray(image), expected.arrays[0])
        several = post_files(server.port, ("a.png", gradient()), ("b.png", gradient()), path="/explain")
        assert several.status == 400 and several.json == {"error": "the request has 2 images, and /explain takes one"}
        assert post_files(server.port, ("a.png", b"text"), path="/explain").status == 422
        assert post_json(server.port, {"images": [[[1, 1], [1, 1]]]}, path="/explain").status == 200


@needs_onnx
@pytest.mark.parametrize(
    ("method", "accept", "loads"),
    [("GET", "text/html,*/*;q=0.8", True), ("GET", "*/*", False), ("GET", None, False), ("HEAD", "text/html", False)],
)
def test_only_the_page_in_a_browser_loads_keras(folder, method, accept, loads):
    """A health probe of / must not: Keras takes seconds and hundreds of megabytes."""
    service = Service("model.keras", open_model_to_serve(folder / "model.keras"), parse_limits([]), unsure=0.5)
    headers = [(b"accept", accept.encode())] if accept else []
    scope = {"type": "http", "method": method, "path": "/", "query_string": b"", "headers": headers}
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def keep(message):
        sent.append(message)

    asyncio.run(make_app(service)(scope, receive, keep))
    assert sent[0]["status"] == 200 and (service.explainer._loaded is not None) == loads
    service.explainer.close()


@needs_onnx
def test_an_exported_file_alone_has_no_heat_map(folder, tmp_path):
    with served(folder / "model.onnx", tmp_path) as server:
        assert send(server.port, request("GET", "/model")).json["explains"] is False
        refused = post_files(server.port, ("a.png", gradient()), path="/explain")
        assert refused.status == 409
        sentence = "what the model looked at needs its .keras file, and the server has an exported file"
        assert refused.json == {"error": sentence}
        assert post_files(server.port, ("a.png", gradient())).status == 200


@needs_onnx
def test_a_stale_export_is_named_and_not_used(folder, tmp_path, capsys):
    shutil.copyfile(folder / "model.onnx", tmp_path / "model.onnx")
    brightness_model(tmp_path / "model.keras")
    opened = open_model_to_serve(tmp_path / "model.keras")
    assert (opened.runtime, opened.file, opened.compiles) == ("Keras", "model.keras", True)
    assert "model.onnx was made of another" in capsys.readouterr().err


def test_a_model_without_attention_has_no_heat_map_and_keras_answers_alone(tmp_path):
    with served(brightness_model(tmp_path / "model.keras"), tmp_path) as server:
        assert "computed by Keras" in server.log.read_text()
        refused = post_files(server.port, ("a.png", gradient()), path="/explain")
        assert refused.status == 409 and refused.json["error"].startswith(
            "nothing shows what the model looked at: the model has no"
        )
        assert server.metric('cct_inputs_total{result="predicted"}') == 0
        assert post_files(server.port, ("a.png", gradient())).status == 200
        assert server.metric('cct_inputs_total{result="predicted"}') == 1


def test_outputs_that_are_not_finite_are_a_failure_of_both_addresses(tmp_path):
    """The server starts, because the outputs for its own random images are finite."""
    white = {"images": [np.full((8, 6), 255).tolist()]}
    with served(overflowing_model(tmp_path / "model.keras"), tmp_path) as server:
        for path in ("/predict", "/explain"):
            answer = post_json(server.port, white, path)
            assert (answer.status, answer.json) == (500, {"error": "the server failed; its log says why"})
        assert server.metric('cct_inputs_total{result="predicted"}') == 0
        assert server.log.read_text().count("MetricsError: the model gave infinite or undefined outputs") == 2


@needs_onnx
def test_a_replaced_model_explains_nothing_and_the_right_one_does_again(folder, tmp_path):
    """Another training writes its file over the one whose export answers."""
    for name in ("model.keras", "model.onnx"):
        shutil.copyfile(folder / name, tmp_path / name)
    model = tmp_path / "model.keras"
    with served(model, tmp_path) as server:
        answers = post_files(server.port, ("a.png", gradient())).json
        attention_model(model, seed=1)
        assert model.read_bytes() != (folder / "model.keras").read_bytes()
        refused = post_files(server.port, ("a.png", gradient()), path="/explain")
        assert refused.status == 409
        assert "model.keras was replaced after the server had started: restart the server" in refused.json["error"]
        model.unlink()
        assert post_files(server.port, ("a.png", gradient()), path="/explain").status == 409
        assert post_files(server.port, ("a.png", gradient())).json == answers
        shutil.copyfile(folder / "model.keras", model)
        assert post_files(server.port, ("a.png", gradient()), path="/explain").status == 200


@needs_onnx
def test_an_export_without_its_model_is_no_model(folder, tmp_path):
    shutil.copyfile(folder / "model.onnx", tmp_path / "model.onnx")
    with pytest.raises(CCTError, match=r"model\.keras is not there"):
        open_model_to_serve(tmp_path / "model.keras")


def test_a_model_that_is_replaced_while_it_is_served_does_not_change_the_answers(folder, tmp_path):
    """The heat map's model is loaded late, so it may be another file by then."""
    model = copied(folder / "model.keras", tmp_path)
    with served(model, tmp_path) as server:
        before = post_files(server.port, ("a.png", gradient())).json
        model.write_bytes(b"")
        assert post_files(server.port, ("a.png", gradient())).json == before
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(HUNG_S) == 0
