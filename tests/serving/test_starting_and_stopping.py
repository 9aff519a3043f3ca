"""The server says in one sentence why it does not start, has limits, and loses no request at its end."""

import asyncio
import importlib.util
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from bad_requests import image
from brightness import brightness_model
from exchange import Response, post_files, post_json, receive, request, send
from patience import HUNG_S
from served import Server, answers, served, wait_until
from small_models import copied, exported

from cct.cli import main
from cct.log import configure_logging
from cct.runtime.machine import cpu_cores
from cct.serving.limits import LIMITS, parse_limits
from cct.serving.protocol import protocol_with
from cct.serving.server import Server as UvicornServer
from cct.serving.server import bound_socket, run_until_signal

GATED = Path(__file__).with_name("gated.py")
BRIGHT = {"images": [np.full((8, 6), 255).tolist()]}
PREDICTED = 'cct_inputs_total{result="predicted"}'


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return brightness_model(tmp_path_factory.mktemp("model") / "model.keras")


class Gate:
    """A gate of `gated.py`."""

    def __init__(self, folder: Path, name: str = "model") -> None:
        self.folder, self.name = folder, name

    def close(self) -> None:
        (self.folder / f"{self.name}.closed").touch()

    def asked(self) -> bool:
        return (self.folder / f"{self.name}.asked").exists()

    def open(self) -> None:
        (self.folder / f"{self.name}.open").touch()


class Asking(threading.Thread):
    """A request that waits for its response."""

    answer: Response | None = None

    def __init__(self, server: Server, value: Any = BRIGHT) -> None:
        super().__init__(daemon=True)
        self.server, self.value = server, value
        self.start()

    def run(self) -> None:
        self.answer = post_json(self.server.port, self.value)

    def result(self) -> Response:
        self.join(HUNG_S)
        assert self.answer is not None
        return self.answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_requests_in_flight_are_answered_before_the_end(number, model, tmp_path):
    gate = Gate(tmp_path)
    with served(model, tmp_path, script=GATED) as server, socket.create_connection(("127.0.0.1", server.port)) as idle:
        gate.close()
        computed = Asking(server)
        wait_until(gate.asked)
        waiting = Asking(server)
        server.wait_for("cct_active_requests", 2)
        server.process.send_signal(number)
        wait_until(lambda: not answers(server.port))  # it accepts no more
        assert idle.recv(1) == b""  # and ends connections without a request
        assert server.process.poll() is None and computed.is_alive() and waiting.is_alive()
        gate.open()
        for asking in (computed, waiting):
            answer = asking.result()
            assert answer.status == 200 and answer.json["predictions"][0]["label"] == "bright"
        assert server.process.wait(HUNG_S) == 0
    assert server.log.read_text().splitlines()[-1] == "ended: all requests are answered"


def test_what_does_not_fit_is_refused_at_once_and_what_takes_too_long_later(model, tmp_path):
    gate = Gate(tmp_path)
    limits = {"queue": 1, "answer_seconds": 3, "requests": 3}
    with served(model, tmp_path, script=GATED, limits=limits) as server:
        gate.close()
        computed = Asking(server)
        wait_until(gate.asked)
        waiting = Asking(server)
        server.wait_for("cct_queue_inputs", 1)
        full = post_json(server.port, BRIGHT)
        assert full.status == 503 and full.headers["retry-after"] == "1"
        assert full.json == {"error": "1 inputs wait already, and 1 may: ask again later"}
        for asking in (computed, waiting):
            late = asking.result()
            assert late.status == 504 and late.json == {"error": "the model did not answer within 3 seconds"}
        assert send(server.port, request("GET", "/health")).status == 200
        assert server.metric(PREDICTED) == 0
        gate.open()
        wait_until(lambda: post_json(server.port, BRIGHT).status == 200)
        server.wait_for("cct_queue_inputs", 0)
        assert server.metric(PREDICTED) == 1


def test_large_images_of_a_late_request_keep_nobody_waiting(model, tmp_path):
    """More of them than the server has threads for other images."""
    gate = Gate(tmp_path, "decoder")
    large, other = image(mode="L", size=(3000, 3000)), image(size=(300, 300))  # both are for threads
    with served(model, tmp_path, script=GATED, limits={"answer_seconds": 1}) as server:

        def late() -> bool:
            answer = post_files(server.port, *((f"{place}.png", large) for place in range(cpu_cores() + 1)))
            assert answer.status == 504
            return gate.asked()

        def answered(file: bytes) -> bool:
            return post_files(server.port, ("a.png", file)).status == 200

        # On a loaded machine a second may pass before a thread begins, or before an answer, but not each time.
        gate.close()
        wait_until(late)
        wait_until(lambda: answered(other))
        gate.open()
        wait_until(lambda: answered(large))


def test_only_so_many_requests_are_read_at_a_time(model, tmp_path):
    with served(model, tmp_path, limits={"requests": 1}) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            slow.sendall(request("POST", "/predict", Content_Type="image/png", Content_Length="5"))
            server.wait_for("cct_active_requests", 1)
            refused = post_json(server.port, BRIGHT)
            assert refused.status == 503 and refused.headers["retry-after"] == "1"
            slow.sendall(b"image")
            assert receive(slow).status == 422
        assert post_json(server.port, BRIGHT).status == 200


def test_only_so_many_connections_are_open_at_a_time(model, tmp_path):
    with served(model, tmp_path, limits={"connections": 2}) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as first:
            first.sendall(request("GET", "/health"))
            assert receive(first).status == 200
            with socket.create_connection(("127.0.0.1", server.port)) as second:
                second.sendall(request("GET", "/health"))
                assert receive(second).status == 200
                with socket.create_connection(("127.0.0.1", server.port)) as third:
                    refused = receive(third)
                assert refused.status == 503 and refused.json["error"].startswith("the server has its 2 connections")
                assert refused.headers["retry-after"] == "1"
                assert refused.headers["x-content-type-options"] == "nosniff"
                assert refused.headers["cache-control"] == "no-store"
        wait_until(lambda: answers(server.port) and send(server.port, request("GET", "/health")).status == 200)


def test_a_second_interrupt_ends_it_at_once(model, tmp_path):
    with served(model, tmp_path) as server, socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(request("POST", "/predict", Content_Type="image/png", Content_Length="5"))
        server.wait_for("cct_active_requests", 1)
        server.process.send_signal(signal.SIGINT)
        wait_until(lambda: not answers(server.port))
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(HUNG_S) == 130
    assert "ended: 1 of the requests were dropped" in server.log.read_text()


def test_a_request_that_outlives_the_longest_time_is_dropped_and_said(capsys):
    """The limits of `cct serve` allow no such request, so this application has none."""
    dropped = []

    async def never(scope, receive, send):
        server.should_exit = True  # as a signal sets it
        try:
            await asyncio.Event().wait()
        finally:
            dropped.append(scope["path"])

    server = UvicornServer(uvicorn.Config(
        never, http=protocol_with(parse_limits([])), lifespan="off", log_config=None, log_level="critical",
        timeout_graceful_shutdown=1,
    ))  # fmt: skip
    configure_logging()
    hangup = signal.getsignal(signal.SIGHUP)
    listener = bound_socket("127.0.0.1", 0)
    with listener, socket.socket() as client:
        listener.listen()
        client.connect(listener.getsockname())
        client.sendall(request("GET", "/never"))
        try:
            assert run_until_signal(server, listener) == 1
        finally:
            signal.signal(signal.SIGHUP, hangup)
    assert dropped == ["/never"] and "ended: 1 of the requests were dropped" in capsys.readouterr().err


def test_a_parse_that_takes_long_is_not_the_clients_fault(model, tmp_path):
    gate = Gate(tmp_path, "parser")
    with served(model, tmp_path, script=GATED, limits={"body_seconds": 1}) as server:
        gate.close()
        large = Asking(server, {"images": [np.full((300, 300), 255).tolist()]})  # for a thread
        wait_until(gate.asked)
        slow = request("POST", "/predict", Content_Type="image/png", Content_Length="5")
        assert send(server.port, slow).status == 408  # so the seconds of the other body are over too
        gate.open()
        assert large.result().status == 200


@pytest.mark.skipif(not importlib.util.find_spec("onnxruntime"), reason="ONNX Runtime is not installed")
def test_an_explanation_waits_for_keras_no_longer_than_for_an_answer(model, tmp_path):
    gate = Gate(tmp_path, "loader")
    keras_file = copied(model, tmp_path)
    exported(keras_file)
    with served(keras_file, tmp_path, script=GATED, limits={"answer_seconds": 3, "requests": 1}) as server:
        gate.close()
        late = post_json(server.port, BRIGHT, "/explain")
        assert gate.asked() and late.status == 504
        assert post_json(server.port, BRIGHT).status == 200  # nothing holds the only place
        gate.open()
        wait_until(lambda: post_json(server.port, BRIGHT, "/explain").status == 409)  # this model has no attention


def said(capsys, *words: str) -> str:
    """The one line on stderr of a command that ends with 1."""
    assert main(["serve", *words]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and printed.err.startswith("error: ")
    return printed.err


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(model, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = said(capsys, "--model", str(model), "--port", str(port))
    assert f"127.0.0.1:{port} cannot be used: Address already in use. Choose another --host or --port" in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--host", "no.such.host.invalid"), "--host no.such.host.invalid is not a name or an address of this machine"),
        (("--host", "192.0.2.1"), "192.0.2.1:8000 cannot be used: Cannot assign requested address"),
        (("--model", "absent.keras"), "absent.keras is not there: dvc repro makes it"),
        (("--model", "models:/cct@champion"), "models:/cct@champion is in MLflow, and there is no store at"),
        (("--limit", "image=3"), "--limit image=3: unknown name; valid: body_bytes, inputs,"),
        (("--limit", "inputs=0"), "--limit inputs=0: must be inputs=N with a whole number from 1 to 4,096"),
        (("--limit", "inputs"), "--limit inputs: must be inputs=N with a whole number from 1 to 4,096"),
    ],
)
def test_what_cannot_start_says_why(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert sentence in said(capsys, *words)


def test_limits_have_defaults_and_bounds():
    assert parse_limits([])._asdict() == {name: limit.default for name, limit in LIMITS.items()}
    assert parse_limits(["pixels=5", "pixels=7"]).pixels == 7
    assert all(limit.default <= limit.most for limit in LIMITS.values())


def test_the_help_loads_no_model():
    code = (
        "import atexit, sys; atexit.register(lambda: print({'keras', 'fastapi', 'mlflow'} & set(sys.modules)))\n"
        "from cct.cli import main; main(['serve', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n") and "--port" in done.stdout
