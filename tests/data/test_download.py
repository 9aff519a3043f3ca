"""`cct.download` against a real web server on this machine, which misbehaves as the path of the URL tells it to."""

import datetime
import email.utils
import hashlib
import http.server
import itertools
import os
import pty
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import ROOT

from cct.data.download import DownloadError, cache_dir, fetch_source
from cct.data.sources import Source

BODY = random.Random(0).randbytes(200_000)
CUT = 70_000  # bytes that a server sends before it breaks off
DEADLINE_S = 20


class Handler(http.server.BaseHTTPRequestHandler):
    """`/behaviour[/anything]`: the name of a method below. `self.nth` counts the requests for one path from 1."""

    def do_GET(self):
        path = urlsplit(self.path).path  # a proxy is asked for a whole URL
        with self.server.lock:
            self.server.requests.append((path, self.headers, time.monotonic()))
            self.nth = sum(other == path for other, _, _ in self.server.requests)
        try:
            getattr(self, path.split("/")[1])()
        except ConnectionError:
            self.server.hung_up.set()

    def log_message(self, *args):
        pass

    def head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def honest(self):
        first = self.asked()
        if first is None:
            self.head(200, Content_Length=len(BODY))
        else:
            range_ = f"bytes {first}-{len(BODY) - 1}/{len(BODY)}"
            self.head(206, Content_Length=len(BODY) - first, Content_Range=range_)
        self.wfile.write(BODY[first or 0 :])

    def asked(self):
        range_ = self.headers.get("Range")
        return int(range_.removeprefix("bytes=").removesuffix("-")) if range_ else None

    def no_ranges(self):
        self.head(200, Content_Length=len(BODY))
        self.wfile.write(BODY)

    def no_ranges_always_cut(self):
        self.head(200, Content_Length=len(BODY))
        self.wfile.write(BODY[:CUT])

    def cut(self):
        self.no_ranges_always_cut() if self.nth == 1 else self.honest()

    def always_cut(self):  # far more breaks than ATTEMPTS, but progress every time
        first = self.asked() or 0
        self.head(206, Content_Range=f"bytes {first}-{len(BODY) - 1}/{len(BODY)}")
        self.wfile.write(BODY[first : first + 20_000])

    def drips(self):  # no attempt brings enough to count as progress
        first = self.asked() or 0
        self.head(206, Content_Range=f"bytes {first}-{len(BODY) - 1}/{len(BODY)}")
        self.wfile.write(BODY[first : first + 100])

    def stalls_once(self):
        self.stalls_midway() if self.nth == 1 else self.honest()

    def stalls_midway(self):
        self.no_ranges_always_cut()
        self.wfile.flush()
        self.server.half_sent.set()
        self.server.release.wait(DEADLINE_S)

    def stalls_at_the_end(self):
        self.claims_nothing()
        self.wfile.flush()
        self.server.release.wait(DEADLINE_S)

    def stalls(self):
        self.server.release.wait(DEADLINE_S)

    def waits(self):
        self.server.half_sent.set()
        self.server.release.wait(DEADLINE_S)
        self.honest()

    def claims_less(self):
        self.head(200, Content_Length=10)
        self.wfile.write(BODY)

    def claims_more(self):
        self.head(200, Content_Length=len(BODY) + 10)
        self.wfile.write(BODY)

    def claims_nothing(self):
        self.head(200)
        self.wfile.write(BODY)

    def chunked(self, end=b"0\r\n\r\n"):
        self.protocol_version = "HTTP/1.1"
        self.head(200, Transfer_Encoding="chunked", Connection="close")
        for first in range(0, len(BODY), 50_000):
            self.wfile.write(b"%x\r\n%b\r\n" % (50_000, BODY[first : first + 50_000]))
        self.wfile.write(end)

    def chunked_without_end(self):
        self.chunked(end=b"")

    def cut_in_a_chunk(self):
        if self.nth > 1:
            return self.honest()
        self.protocol_version = "HTTP/1.1"
        self.head(200, Transfer_Encoding="chunked", Connection="close")
        self.wfile.write(b"%x\r\n%b" % (len(BODY), BODY[:CUT]))

    def sends_more(self):
        self.head(200, Content_Length=len(BODY))
        self.wfile.write(BODY + b"more")

    def endless(self):
        self.head(200)
        for _ in range(2_000):  # 128 MB; more than the buffers of the connection hold
            self.wfile.write(bytes(1 << 16))
        self.server.swallowed.set()

    def wrong_bytes(self):
        self.head(200, Content_Length=len(BODY))
        self.wfile.write(bytes(len(BODY)))

    def wrong_range(self):  # the right size, but what it appends is not
        first = self.asked()
        if first is None:
            return self.no_ranges()
        self.head(206, Content_Range=f"bytes {first}-{len(BODY) - 1}/{len(BODY)}")
        self.wfile.write(bytes(len(BODY) - first))

    def other_range(self):
        if self.asked() is None:
            return self.no_ranges()
        self.always_other_range()

    def always_other_range(self):
        self.head(206, Content_Range=f"bytes 7-{len(BODY) - 1}/{len(BODY)}")
        self.wfile.write(BODY[7:])

    def other_total(self):
        self.head(206, Content_Range=f"bytes {self.asked() or 0}-999999/1000000")
        self.wfile.write(BODY)

    def refuses_ranges(self):
        if self.asked() is None:
            return self.no_ranges()
        self.head(416)

    def busy(self):
        self.head(503, Retry_After=1) if self.nth == 1 else self.honest()

    def busy_until(self):
        date = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)  # in whole seconds, so 1 to 2
        self.head(503, Retry_After=email.utils.format_datetime(date, usegmt=True)) if self.nth == 1 else self.honest()

    def busy_for_an_hour(self):
        self.head(503, Retry_After=3600) if self.nth == 1 else self.honest()

    def broken(self):
        self.head(500)

    def missing(self):
        self.head(404)

    def redirect(self):
        self.head(302, Location="/honest/elsewhere")

    def loop(self):
        self.head(302, Location="/loop")

    def hangs_up(self):
        pass

    def labelled(self):  # as Apache does for a .gz file
        self.head(200, Content_Length=len(BODY), Content_Encoding="gzip")
        self.wfile.write(BODY)


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


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("cct.data.transfer.BACKOFF_S", 0.01)
    monkeypatch.setenv("CCT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def source_of(*urls, body=BODY, file="images.tar.gz"):
    digest = hashlib.sha256(body).hexdigest()
    return Source(
        name="test",
        format="digits-csv",
        classes=["a", "b"],
        file=file,
        size=len(body),
        sha256=digest,
        urls=list(urls),
    )


def stored_in(cache, source):
    return cache / source.sha256[:12] / source.file


def ranges(server):
    return [headers.get("Range") for _, headers, _ in server.requests]


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def is_clean(cache, source):
    """The file and nothing else, but for the lock."""
    names = {path.name for path in stored_in(cache, source).parent.iterdir()}
    return stored_in(cache, source).read_bytes() == BODY and names - {f"{source.file}.lock"} == {source.file}


FROM_CUT = f"bytes={CUT}-"


@pytest.mark.parametrize(
    ("behaviour", "before", "asked"),
    [
        ("honest", None, [None]),
        ("honest", BODY[:CUT], [FROM_CUT]),
        ("honest", b"x" * CUT, [FROM_CUT, None]),  # what was there proves wrong: once again, from nothing
        ("honest", BODY + b"x", [None]),
        ("honest", bytes(len(BODY)), [None]),
        ("no_ranges", BODY[:CUT], [FROM_CUT]),
        ("cut", None, [None, FROM_CUT]),
        ("always_cut", None, [None, *(f"bytes={n}-" for n in range(20_000, 200_000, 20_000))]),
        ("stalls_once", None, [None, FROM_CUT]),
        ("stalls_at_the_end", None, [None]),
        ("claims_nothing", None, [None]),
        ("chunked", None, [None]),
        ("chunked_without_end", None, [None]),
        ("cut_in_a_chunk", None, [None, FROM_CUT]),
        ("sends_more", None, [None]),
        ("wrong_range", BODY[:CUT], [FROM_CUT, None]),
        ("other_range", BODY[:CUT], [FROM_CUT, None]),
        ("refuses_ranges", BODY[:CUT], [FROM_CUT, None]),
        ("busy_for_an_hour", None, [None, None]),
        ("redirect", None, [None, None]),
        ("redirect", BODY[:CUT], [FROM_CUT, FROM_CUT]),
        ("labelled", None, [None]),
    ],
)
def test_a_server_that_has_the_file_gives_it(server, cache, monkeypatch, behaviour, before, asked):
    monkeypatch.setattr("cct.data.transfer.RETRY_AFTER_MAX_S", 0.1)
    if behaviour.startswith("stalls"):  # not for the others, which must survive a busy machine
        monkeypatch.setattr("cct.data.transfer.READ_TIMEOUT_S", 0.4)
    source = source_of(f"{server.url}/{behaviour}")
    if before is not None:
        put(cache / source.sha256[:12] / f"{source.file}.part", before)
    assert fetch_source(source, base=Path()) == stored_in(cache, source)
    assert is_clean(cache, source)
    assert ranges(server) == asked


@pytest.mark.parametrize(
    ("behaviour", "requests", "reason"),
    [
        ("missing", 1, "HTTP 404 Not Found"),
        ("broken", 4, "HTTP 500 Internal Server Error, 4 times"),
        ("stalls", 4, "not a byte for 0.4 s, 4 times"),
        ("hangs_up", 4, "Remote end closed connection without response, 4 times"),
        ("no_ranges_always_cut", 5, "the connection ended after 70,000 of 200,000 bytes, 4 times"),
        ("drips", 4, "the connection ended after 400 of 200,000 bytes, 4 times"),
        ("claims_less", 1, "offers 10 bytes, expected 200,000"),
        ("claims_more", 1, "offers 200,010 bytes, expected 200,000"),
        ("endless", 1, "sent more than 200,000 bytes"),
        ("wrong_bytes", 1, f"sent the wrong file: it has sha256 {hashlib.sha256(bytes(len(BODY))).hexdigest()}"),
        ("other_total", 1, "offers 1,000,000 bytes, expected 200,000"),
        ("loop", 31, "Exceeded 30 redirects"),
    ],
)
def test_a_server_that_has_it_not_is_left_for_the_next(server, cache, monkeypatch, capsys, behaviour, requests, reason):
    if behaviour.startswith("stalls"):
        monkeypatch.setattr("cct.data.transfer.READ_TIMEOUT_S", 0.4)
    bad = f"{server.url}/{behaviour}"
    source = source_of(bad, f"{server.url}/honest")
    fetch_source(source, base=Path())
    assert is_clean(cache, source)
    paths = [path for path, _, _ in server.requests]
    assert paths == [f"/{behaviour}"] * requests + ["/honest"]
    assert f"{source.file}: not from {bad}: {reason}" in capsys.readouterr().out


def test_an_endless_answer_is_cut_off(server, cache):
    with pytest.raises(DownloadError, match="sent more than 200,000 bytes"):
        fetch_source(source_of(f"{server.url}/endless"), base=Path())
    assert server.hung_up.wait(DEADLINE_S)
    assert not server.swallowed.is_set()
    assert sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) == 0


def test_a_wrong_offer_costs_no_partial_download(server, cache):
    bad = ("claims_less", "other_total", "always_other_range", "missing", "broken")
    source = source_of(*(f"{server.url}/{behaviour}" for behaviour in bad), "absent.gz")
    part = put(cache / source.sha256[:12] / f"{source.file}.part", BODY[:CUT])
    with pytest.raises(DownloadError, match=r"0\.1 MB are kept"):
        fetch_source(source, base=Path())
    assert part.read_bytes() == BODY[:CUT]


def test_the_next_url_goes_on_from_what_the_last_one_sent(server, cache):
    fetch_source(source_of(f"{server.url}/no_ranges_always_cut", f"{server.url}/honest"), base=Path())
    assert ranges(server)[-1] == FROM_CUT


def test_a_part_that_is_complete_needs_no_request(server, cache):
    source = source_of(f"{server.url}/honest")
    put(cache / source.sha256[:12] / f"{source.file}.part", BODY)
    fetch_source(source, base=Path())
    assert is_clean(cache, source)
    assert not server.requests


@pytest.mark.parametrize(("behaviour", "least"), [("busy", 1.0), ("busy_until", 0.9)])
def test_retry_after_is_honoured(server, behaviour, least):
    fetch_source(source_of(f"{server.url}/{behaviour}"), base=Path())
    (_, _, first), (_, _, second) = server.requests
    assert second - first >= least


def test_back_off_doubles(server, monkeypatch):
    monkeypatch.setattr("cct.data.transfer.BACKOFF_S", 0.05)
    with pytest.raises(DownloadError):
        fetch_source(source_of(f"{server.url}/broken"), base=Path())
    moments = [moment for _, _, moment in server.requests]
    for wait, (earlier, later) in zip((0.05, 0.1, 0.2), itertools.pairwise(moments), strict=True):
        assert later - earlier >= wait


def test_a_proxy_in_the_environment_is_used(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    fetch_source(source_of("http://nowhere.invalid/honest"), base=Path())
    assert len(server.requests) == 1


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_total_failure_names_every_url_with_its_reason_and_what_to_do_next(server, cache, tmp_path):
    urls = {
        f"{server.url}/missing": "HTTP 404 Not Found",
        f"https://127.0.0.1:{server.server_port}/honest": "TLS: ",
        f"http://127.0.0.1:{free_port()}/honest": "Connection refused, 4 times",
        "http://": "it, or one that it redirects to, or that of the proxy is not a valid http(s) URL",
        "ftp://host/file": "unknown kind of address ftp://; valid: http://, https://, file://, package: or a path",
        "absent.gz": f"{tmp_path / 'absent.gz'} does not exist",
    }
    source = source_of(*urls)
    with pytest.raises(DownloadError) as raised:
        fetch_source(source, base=tmp_path)
    lines = str(raised.value).splitlines()
    for line, (url, reason) in zip(lines[1:], urls.items(), strict=False):
        assert line.startswith(f"  {url}: {reason}")
        assert line.endswith(" times") == reason.endswith(" times")  # whether it is worth asking again
    advice = "\n".join(lines[1 + len(urls) :])
    assert f"put it at {cache / source.file}\n" in advice
    assert "200,000 bytes" in advice and source.sha256 in advice and "`make demo`" in advice
    put(cache / source.file, BODY)  # the advice, followed
    assert fetch_source(source, base=tmp_path) == cache / source.file


def test_the_advice_names_a_place_that_is_free(cache, tmp_path):
    source = source_of("absent.gz")
    put(cache / source.file, b"of another descriptor")
    with pytest.raises(DownloadError) as raised:
        fetch_source(source, base=tmp_path)
    assert f"put it at {stored_in(cache, source)}\n" in str(raised.value)
    put(stored_in(cache, source), BODY)
    assert fetch_source(source, base=tmp_path) == stored_in(cache, source)


@pytest.mark.parametrize(
    "url",
    [
        "http://Ann:s3cret@127.0.0.1:{port}/missing/a@b",
        "http://s3cret@127.0.0.1:{port}/broken",
        "https://Ann:s3cret@127.0.0.1:{port}/honest",
        "http://Ann:s3@cret@127.0.0.1:{port}/missing",
        "http://Ann:s3/cret@127.0.0.1:{port}/missing",
        "http://Ann:#s3cret@127.0.0.1:{port}/missing",
        "ftp://Ann:s3cret@host/file",
        "file://Ann:s3cret@host/file",
    ],
)
def test_credentials_are_never_printed(server, capsys, url):
    with pytest.raises(DownloadError) as raised:
        fetch_source(source_of(url.format(port=server.server_port)), base=Path())
    for text in (str(raised.value), capsys.readouterr().out):
        assert "://***@" in text
        assert "Ann" not in text and "s3" not in text and "cret" not in text


def test_an_at_sign_in_a_path_is_no_credential(server, capsys):
    with pytest.raises(DownloadError, match=f"{server.url}/missing/a@b: HTTP 404"):
        fetch_source(source_of(f"{server.url}/missing/a@b"), base=Path())


def test_credentials_are_sent(server):
    fetch_source(source_of(f"http://Ann:s3cret@127.0.0.1:{server.server_port}/honest"), base=Path())
    assert server.requests[0][1]["Authorization"] == "Basic QW5uOnMzY3JldA=="


@pytest.mark.parametrize("form", ["file://{path}", "file://localhost{path}", "{path}", "mirror/a%20file", "~/a%20file"])
def test_a_mirror_on_disk_needs_no_code(cache, tmp_path, monkeypatch, capsys, form):
    monkeypatch.setenv("HOME", str(tmp_path / "mirror"))
    url = form.format(path=tmp_path / "mirror" / "a%20file")
    path = put(tmp_path / "mirror" / ("a file" if form.startswith("file") else "a%20file"), BODY)
    source = source_of(url)
    assert fetch_source(source, base=tmp_path) == stored_in(cache, source)
    assert is_clean(cache, source)
    assert capsys.readouterr().out == f"{source.file}: copied from {path}\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"short", "has 5 bytes, expected 200,000"),
        (bytes(len(BODY)), f"has sha256 {hashlib.sha256(bytes(len(BODY))).hexdigest()}, expected"),
        (None, "does not exist"),
        ("folder", "is not a file"),
    ],
)
def test_a_wrong_local_file_is_refused(cache, tmp_path, content, why):
    path = tmp_path / "mirror.gz"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(DownloadError, match=f"  mirror.gz: {path} {why}"):
        fetch_source(source_of("mirror.gz"), base=tmp_path)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that fails if it is imported, with a data file in it and another beside it."""
    root = tmp_path / "site" / "cct_test_package"
    put(root / "__init__.py", b"raise AssertionError('imported')")
    put(tmp_path / "site" / "beside.gz", BODY)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return put(root / "data" / "digits.csv.gz", BODY)


def test_a_file_in_a_package_is_found_without_importing_it(cache, package, capsys):
    source = source_of("package:cct_test_package/data/digits.csv.gz")
    fetch_source(source, base=Path())
    assert is_clean(cache, source)
    assert f"copied from {package}" in capsys.readouterr().out
    assert "cct_test_package" not in sys.modules


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("cct_test_package/../beside.gz", "must be package:"),
        ("cct_test_package//etc/passwd", "must be package:"),
        ("cct_test_package", "must be package:"),
        ("cct_test_package.data/digits.csv.gz", "must be package:"),
        ("cct_test_package/data/absent.gz", "absent.gz does not exist"),
        ("cct_no_such_package/data", "no Python package cct_no_such_package is installed"),
        ("__main__/data", "no Python package __main__ is installed"),
        ("random/data", "no Python package random is installed"),
    ],
)
def test_a_wrong_package_address_is_refused(package, address, reason):
    with pytest.raises(DownloadError, match=f"  package:{address}: .*{reason}"):
        fetch_source(source_of(f"package:{address}"), base=Path())


@pytest.mark.parametrize("plain", [True, False])
def test_a_file_put_by_hand_is_accepted(server, cache, capsys, plain):
    source = source_of(f"{server.url}/honest")
    path = put(cache / source.file if plain else stored_in(cache, source), BODY)
    assert fetch_source(source, base=Path()) == path
    assert capsys.readouterr().out == f"{source.file}: found in the cache ({path})\n"
    assert not server.requests


@pytest.mark.parametrize("content", [b"short", bytes(len(BODY))])
def test_a_wrong_file_put_by_hand_is_reported_and_left(server, cache, capsys, content):
    source = source_of(f"{server.url}/honest")
    path = put(cache / source.file, content)
    assert fetch_source(source, base=Path()) == stored_in(cache, source)
    assert path.read_bytes() == content
    assert capsys.readouterr().out.count(f"{path} is not used and left as it is: it has ") == 1


def test_a_wrong_file_where_the_download_belongs_is_renamed(server, cache, capsys):
    source = source_of(f"{server.url}/honest")
    path = put(stored_in(cache, source), b"spoilt")
    fetch_source(source, base=Path())
    aside = path.with_name(f"{source.file}.rejected-{hashlib.sha256(b'spoilt').hexdigest()[:8]}")
    assert (path.read_bytes(), aside.read_bytes()) == (BODY, b"spoilt")
    assert f"{path} has 6 bytes, expected 200,000; renamed to {aside.name}" in capsys.readouterr().out


def test_the_cache_is_checked_again_every_time(server, cache):
    source = source_of(f"{server.url}/honest")
    path = fetch_source(source, base=Path())
    fetch_source(source, base=Path())
    assert len(server.requests) == 1
    path.write_bytes(BODY[:-1] + b"x")
    assert fetch_source(source, base=Path()).read_bytes() == BODY
    assert len(server.requests) == 2


def test_two_sources_may_share_a_file_name(cache, tmp_path):
    bodies = [b"official", b"reduced"]
    for body in bodies:
        put(tmp_path / body.decode(), body)
    sources = [source_of(body.decode(), body=body) for body in bodies]
    for _ in range(2):
        assert [fetch_source(source, base=tmp_path).read_bytes() for source in sources] == bodies
    assert not list(cache.rglob("*rejected*"))


@pytest.mark.parametrize("empty", [True, False])
def test_without_cct_cache_the_users_own_cache_is_used(monkeypatch, tmp_path, empty):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("CCT_CACHE", "") if empty else monkeypatch.delenv("CCT_CACHE")
    chosen = cache_dir()
    assert chosen.name == "cct" and ROOT not in chosen.parents
    if sys.platform == "linux":
        assert chosen == tmp_path / "xdg" / "cct"
    assert not chosen.exists()


def test_cct_cache_may_begin_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CCT_CACHE", "~/images")
    assert cache_dir() == tmp_path / "images"


def test_a_cache_that_is_no_folder_is_one_clear_error(server, cache):
    cache.write_text("a file")
    with pytest.raises(DownloadError, match=f"(?s)cache folder {cache}: .*0.2 MB.*CCT_CACHE"):
        fetch_source(source_of(f"{server.url}/honest"), base=Path())
    assert not server.requests


def test_a_full_disk_is_one_clear_error(server, cache):
    cache.mkdir()
    mount = shutil.which("mount")
    if not mount or subprocess.run([mount, "-t", "tmpfs", "-o", "size=100k", "none", cache], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        with pytest.raises(DownloadError, match=f"(?s)cache folder {cache}: No space left on device.*CCT_CACHE"):
            fetch_source(source_of(f"{server.url}/honest", f"{server.url}/missing"), base=Path())
    finally:
        subprocess.run(["umount", cache], check=True)
    assert len(server.requests) == 1  # another URL would not help


CHILD = """
import pathlib, sys
import test_download as tests
from cct.log import configure_logging
configure_logging()
tests.fetch_source(tests.source_of(sys.argv[1]), base=pathlib.Path())
"""


def child(url, **options):
    """Fetch in a process of its own, which the caller ends or awaits."""
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, url],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_write_that_fails_midway_is_one_clear_error(server, cache):
    """As a full disk, but on every machine: the process may write no more than 100,000 bytes to a file."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    _, errors = child(f"{server.url}/honest", preexec_fn=limit).communicate(timeout=DEADLINE_S)
    assert f"DownloadError: cannot use the cache folder {cache}: File too large" in errors


def test_two_processes_download_once(server, cache):
    url = f"{server.url}/waits"
    first = child(url)
    assert server.half_sent.wait(DEADLINE_S)
    second = child(url)
    assert "waiting for another process" in second.stdout.readline()
    server.release.set()
    (_, errors), (said, more_errors) = first.communicate(timeout=DEADLINE_S), second.communicate(timeout=DEADLINE_S)
    assert (first.returncode, errors, second.returncode, more_errors) == (0, "", 0, "")
    assert "found in the cache" in said
    assert len(server.requests) == 1
    assert is_clean(cache, source_of(url))


def test_a_killed_download_is_resumed(server, cache):
    source = source_of(f"{server.url}/stalls_once")
    part = cache / source.sha256[:12] / f"{source.file}.part"
    process = child(*source.urls)  # with the true READ_TIMEOUT_S
    end = time.monotonic() + DEADLINE_S
    while not (part.exists() and part.stat().st_size == CUT) and time.monotonic() < end:
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=DEADLINE_S)
    fetch_source(source, base=Path())
    assert is_clean(cache, source)
    assert ranges(server) == [None, FROM_CUT]


def test_elsewhere_than_on_a_terminal_progress_is_plain_lines(server, capsys):
    fetch_source(source_of(f"{server.url}/honest"), base=Path())
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"images.tar.gz: downloading from {server.url}/honest"
    line = re.compile(r"images.tar.gz: (\d+) %, 0\.[012] of 0\.2 MB, \d+\.\d\d MB/s, 00:00 left")
    percents = [int(line.fullmatch(text)[1]) for text in lines]
    assert 6 <= len(percents) <= 10  # the body comes in 7 pieces or more
    assert all(later - earlier >= 9 for earlier, later in itertools.pairwise([0, *percents]))  # 10, but for rounding


def test_a_slow_download_says_a_line_now_and_then(server, capsys, monkeypatch):
    monkeypatch.setattr("cct.data.transfer.LINE_SHARE", 2.0)
    fetch_source(source_of(f"{server.url}/honest"), base=Path())
    assert "%" not in capsys.readouterr().out
    monkeypatch.setattr("cct.data.transfer.LINE_S", 0.0)
    fetch_source(source_of(f"{server.url}/honest", body=BODY, file="another.gz"), base=Path())
    assert "another.gz: 100 %, 0.2 of 0.2 MB" in capsys.readouterr().out


def test_on_a_terminal_there_is_a_bar(server, monkeypatch):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        fetch_source(source_of(f"{server.url}/honest"), base=Path())
        print("end")
    with os.fdopen(ours, "rb", buffering=0) as screen:
        shown = b""
        while b"end" not in shown:
            shown += screen.read(1 << 16)
    text = shown.decode()
    assert "\rimages.tar.gz: 100%|" in text and "B/s]" in text
    assert " MB/s, " not in text


def test_importing_it_is_light():
    heavy = "{'numpy', 'keras', 'tensorflow', 'mlflow', 'sklearn'}"
    code = f"import sys, cct.data.download; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
