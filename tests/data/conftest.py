"""Fixtures: a misbehaving server, and a cache for each test."""

import http.server
import threading

import pytest
from mirrors import Handler


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.lock = [], threading.Lock()
    server.half_sent, server.release = threading.Event(), threading.Event()
    server.hung_up, server.swallowed = threading.Event(), threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("cct.data.transfer.BACKOFF_S", 0.01)
    monkeypatch.setenv("CCT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
