"""One image has one answer: in Python, in the shell, from ONNX Runtime, over HTTP and in the browser."""

import json

import numpy as np
import onnxruntime
import pytest
from browsers import browser, require_browser
from exchange import request, send
from patience import HUNG_S
from PIL import Image
from served import served
from small_models import attention_model, exported

import cct
from cct.cli import main

pytestmark = pytest.mark.services


def test_every_way_gives_the_same_probabilities(tmp_path, capsys):
    require_browser()
    model = attention_model(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(pixels).save(photo := tmp_path / "photo.png")

    loaded = cct.load(model)
    in_python = loaded.predict(photo).probabilities[0]
    assert in_python.sum() == pytest.approx(1) and 0.04 < in_python[1] - in_python[0] < 0.43
    expected = dict(zip(loaded.classes, in_python, strict=True))

    def same(found: list[dict], digits: float = 2e-6) -> bool:
        return {one["label"]: pytest.approx(one["probability"], abs=digits) for one in found} == expected

    capsys.readouterr()
    assert main(["predict", str(photo), "--model", str(model), "--top", "2", "--json"]) == 0
    assert same(json.loads(capsys.readouterr().out)[0]["top"])

    session = onnxruntime.InferenceSession(exported(model))
    (from_onnx,) = session.run(None, {session.get_inputs()[0].name: loaded.reader.arrays([photo])})
    assert same([{"label": label, "probability": p} for label, p in zip(loaded.classes, from_onnx[0], strict=True)])

    with served(model, tmp_path) as server, browser() as chromium:
        assert "onnx" in server.log.read_text().lower()
        answer = send(server.port, request("POST", "/predict", photo.read_bytes(), Content_Type="image/png"))
        assert same(answer.json["predictions"][0]["top"])
        page = chromium.new_page()
        page.set_default_timeout(1000 * HUNG_S)
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.set_input_files("#file", str(photo))
        page.locator("#heat-controls").wait_for()
        shares = page.eval_on_selector_all(
            "#bars i", "bars => bars.map(bar => parseFloat(bar.style.getPropertyValue('--share')))"
        )
        assert shares == pytest.approx(sorted((100 * p for p in expected.values()), reverse=True), abs=0.001)
