"""`cct serve`: the same answers as `cct.load`, from every kind of body, and a description of itself."""

import base64
import io
import json
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from bad_requests import image
from brightness import CLASSES, bright_probability, brightness_model
from exchange import chunked, form, post_files, post_json, receive, request, send
from patience import HUNG_S
from PIL import Image
from served import Server, served

import cct
from cct.serving.limits import LIMITS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    brightness_model(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with served(folder / "model.keras", folder, "--unsure", "0.6") as running:
        yield running


def rows_of(answer) -> list[dict]:
    assert answer.status == 200, answer.body
    return answer.json["predictions"]


def test_every_kind_of_body_has_the_same_answer(server: Server):
    pixels = np.full((40, 30, 3), 200, np.uint8)
    Image.fromarray(pixels).save(file := io.BytesIO(), "PNG")
    content = file.getvalue()
    text = base64.b64encode(content).decode()
    wrapped = "\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    bodies = {
        "form": post_files(server.port, ("a.png", content)),
        "base64": post_json(server.port, {"images": [text]}),
        "base64 of the shell": post_json(server.port, {"images": [wrapped]}),
        "data:": post_json(server.port, {"images": [f"data:image/png;base64,{text}"]}),
        "pixels": post_json(server.port, {"images": [pixels.tolist()]}),
        "grey pixels": post_json(server.port, {"images": [pixels[..., 0].tolist()]}),
        "whole floats": post_json(server.port, {"images": [pixels[..., :1].astype(float).tolist()]}),
        "file": send(server.port, request("POST", "/predict", content, Content_Type="image/png")),
        "chunks": send(server.port, chunked("/predict", [content[:50], content[50:]], Content_Type="image/png")),
    }
    for name, answer in bodies.items():
        (row,) = rows_of(answer)
        assert row["label"] == "bright" and not row["unsure"], name
        assert row["probability"] == pytest.approx(bright_probability(200), abs=1e-6), name
        assert row["top"] == [
            {"label": "bright", "probability": row["probability"]},
            {"label": "dark", "probability": pytest.approx(1 - row["probability"], abs=1e-6)},
        ]
    assert rows_of(bodies["form"])[0]["input"] == "a.png" and rows_of(bodies["pixels"])[0]["input"] == "image 0"


def noise(kind: str, mode: str, **options) -> bytes:
    """An image file that every mistake in its treatment changes."""
    values = np.random.default_rng(0).integers(0, 256, (40, 30, 4), dtype=np.uint8)
    bands = Image.fromarray(values, "RGBA")
    made = Image.fromarray(values.astype(np.uint16)[..., 0] << 8) if mode == "I;16" else bands.convert(mode)
    made.save(file := io.BytesIO(), kind, **options)
    return file.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def animation() -> dict:
    return {"save_all": True, "append_images": [Image.new("P", (30, 40), 3)]}


UNUSUAL = {
    "CMYK": lambda: noise("JPEG", "CMYK"),
    "16 bits": lambda: noise("PNG", "I;16"),
    "turned by EXIF": lambda: noise("JPEG", "RGB", exif=turned()),
    "transparent": lambda: noise("PNG", "RGBA"),
    "grey and transparent": lambda: noise("PNG", "LA"),
    "palette": lambda: noise("PNG", "P"),
    "black and white": lambda: noise("TIFF", "1"),
    "animation": lambda: noise("GIF", "P", **animation()),
    "WebP": lambda: noise("WEBP", "RGB", lossless=True),
    "YCbCr": lambda: noise("TIFF", "YCbCr"),
}


def test_unusual_images_are_treated_as_in_training(server: Server, folder):
    """Those of `cct.load`, which are those of `preprocess` (tests/inference/test_classifier.py)."""
    files = {name: make() for name, make in UNUSUAL.items()}
    expected = cct.load(folder / "model.keras").predict(list(files.values()))
    rows = rows_of(post_files(server.port, *files.items()))
    assert [row["input"] for row in rows] == list(files)
    assert [row["label"] for row in rows] == expected.labels
    assert [row["probability"] for row in rows] == pytest.approx(expected.confidences.tolist(), abs=2e-6)
    assert len({row["probability"] for row in rows}) > 5


def test_as_many_classes_as_asked_and_unsure_ones_marked(server: Server):
    body, media_type = form(("images", "a.png", image("PNG", "L")))
    (row,) = rows_of(send(server.port, request("POST", "/predict?top=1", body, Content_Type=media_type)))
    assert len(row["top"]) == 1 and not row["unsure"]
    middle = post_json(server.port, {"images": [np.full((8, 6), 128).tolist()]})
    assert rows_of(middle)[0]["unsure"] and rows_of(middle)[0]["probability"] == pytest.approx(0.5, abs=1e-6)


def test_many_images_are_one_request(server: Server):
    values = [0, 255] * (LIMITS["inputs"].default // 2)
    rows = rows_of(post_json(server.port, {"images": [np.full((8, 6), value).tolist() for value in values]}))
    assert [row["label"] for row in rows] == ["dark", "bright"] * (len(values) // 2)


def test_a_connection_answers_several_requests(server: Server):
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        for value, label in ((255, "bright"), (0, "dark"), (255, "bright")):
            body = json.dumps({"images": [np.full((8, 6), value).tolist()]}).encode()
            connection.sendall(request("POST", "/predict", body, Content_Type="application/json"))
            assert rows_of(receive(connection))[0]["label"] == label
        connection.sendall(request("POST", "/predict", b"[]", Content_Type="application/json"))
        assert receive(connection).status == 400
        connection.sendall(request("GET", "/health"))
        assert receive(connection).json == {"status": "ok"}


def test_who_asks_before_sending_is_refused_before_sending(server: Server):
    """As curl does with large files: `Expect: 100-continue`."""
    size = str(LIMITS["body_bytes"].default + 1)
    head = request("POST", "/predict", Content_Length=size, Content_Type="image/png", Expect="100-continue")
    answer = send(server.port, head)
    assert answer.status == 413 and answer.headers["connection"] == "close"


def test_the_model_is_described(server: Server):
    facts = send(server.port, request("GET", "/model")).json
    assert facts["model"] == "model.keras", "the path is nobody else's business"
    assert facts["classes"] == CLASSES and facts["temperature"] == 2.0 and facts["unsure"] == 0.6
    assert facts["input"]["shape"] == [8, 6, 3] and facts["data"]["name"] == "made-up"
    assert facts["trained_on"] == [{"backend": "tensorflow"}] and facts["limits"]["inputs"] == 128


def test_metrics_count_what_was_asked(server: Server):
    before = server.metric('cct_requests_total{route="/predict",method="POST",status="422"}')
    images = server.metric('cct_inputs_total{result="predicted"}')
    assert post_files(server.port, ("a.png", b"")).status == 422
    assert post_files(server.port, ("a.png", image()), ("b.png", image()), ("c.png", b"")).status == 200
    send(server.port, request("GET", "/no/such/address"))
    send(server.port, request("GUESS", "/predict"))
    text = send(server.port, request("GET", "/metrics"))
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert server.metric('cct_requests_total{route="/predict",method="POST",status="422"}') == before + 1
    assert server.metric('cct_requests_total{route="/predict",method="other",status="405"}') == 1
    assert server.metric('cct_requests_total{route="other",method="GET",status="404"}') == 1
    assert server.metric('cct_inputs_total{result="predicted"}') == images + 2
    assert server.metric('cct_inputs_total{result="refused"}') >= 2
    assert server.metric("cct_queue_inputs") == server.metric("cct_active_requests") == 0
    assert server.metric("process_resident_memory_bytes") > 1e7
    lines = text.body.decode().splitlines()
    sample = re.compile(r'[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.e+-]+')
    assert all(line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line) for line in lines)
    counted = [line for line in lines if line.startswith('cct_request_seconds_bucket{route="/predict"')]
    totals = [float(line.split()[-1]) for line in counted]
    assert totals == sorted(totals) and totals[-1] == server.metric('cct_request_seconds_count{route="/predict"}')


@pytest.mark.parametrize("path", ["/", "/health", "/model", "/metrics", "/docs", "/openapi.json"])
def test_head_is_answered_as_get_without_a_body(server: Server, path):
    """Some load balancers ask so whether a server answers."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=HUNG_S) as connection:
        connection.sendall(request("HEAD", path) + request("GET", "/health"))
        with connection.makefile("rb") as file:
            assert file.readline().startswith(b"HTTP/1.1 200 ")
            while file.readline().strip():
                pass
            assert file.readline().startswith(b"HTTP/1.1 200 "), "no body stands before the next response"
    assert server.metric(f'cct_requests_total{{route="{path}",method="HEAD",status="200"}}') >= 1


def test_the_interface_is_described_without_an_outside_address(server: Server):
    openapi = send(server.port, request("GET", "/openapi.json")).json
    assert {"/predict", "/health", "/model", "/metrics"} <= set(openapi["paths"])
    body = openapi["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert set(body) == {"multipart/form-data", "application/json", "image/*"}
    for name, schema in openapi["components"]["schemas"].items():
        assert all(field.get("description") for field in schema["properties"].values()), name
    assert [*openapi["paths"]["/metrics"]["get"]["responses"]["200"]["content"]] == ["text/plain"]
    for path in ("/", "/docs"):
        page = send(server.port, request("GET", path))
        text = page.body.decode()
        assert page.status == 200 and page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert not re.search(r"https?://(?!www\.w3\.org)|src=['\"]//|@import|url\(", text), path
    assert all(path in text for path in openapi["paths"])


def test_a_bug_is_a_sentence_for_the_client_and_a_traceback_in_the_log(folder, tmp_path):
    with served(folder / "model.keras", tmp_path, script=Path(__file__).parent / "failing.py") as failing:
        body = json.dumps({"images": [[[0, 0]] * 8]}).encode()
        answer = send(failing.port, request("POST", "/predict", body, Content_Type="application/json"))
        assert (answer.status, answer.json) == (500, {"error": "the server failed; its log says why"})
        assert failing.metric('cct_inputs_total{result="predicted"}') == 0
        assert send(failing.port, request("GET", "/health")).status == 200
        assert "MemoryError: too much" in failing.log.read_text()
