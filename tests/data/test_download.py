"""The places of a source's file, and the cache that stores it."""

import hashlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clones import ROOT
from mirrors import BODY, CUT, FROM_CUT, child, is_clean, put, ranges, source_of, stored_in
from patience import HUNG_S

from cct.data.download import DownloadError, cache_dir, fetch_file

pytestmark = pytest.mark.usefixtures("cache")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_total_failure_names_every_url_with_its_reason_and_what_to_do_next(server, cache, tmp_path):
    urls = {
        f"{server.url}/missing": "HTTP 404 Not Found",
        f"https://127.0.0.1:{server.server_port}/honest": "TLS: ",
        f"http://127.0.0.1:{free_port()}/honest": "Connection refused, 4 times",
        "http://": "the address, a redirect or the proxy is not a valid http(s) URL: check urls and HTTPS_PROXY",
        "ftp://host/file": "unknown kind of address ftp://; valid: http://, https://, file://, package: or a path",
        "absent.gz": f"{tmp_path / 'absent.gz'} does not exist",
    }
    source = source_of(*urls)
    with pytest.raises(DownloadError) as raised:
        fetch_file(source, base=tmp_path)
    lines = str(raised.value).splitlines()
    for line, (url, reason) in zip(lines[1:], urls.items(), strict=False):
        assert line.startswith(f"  {url}: {reason}")
        assert line.endswith(" times") == reason.endswith(" times")  # whether it is worth asking again
    advice = "\n".join(lines[1 + len(urls) :])
    assert f"put it at {cache / source.file}\n" in advice
    assert "200,000 bytes" in advice and source.sha256 in advice and "`make demo`" in advice
    put(cache / source.file, BODY)  # the advice, followed
    assert fetch_file(source, base=tmp_path) == cache / source.file


def test_the_advice_names_a_place_that_is_free(cache, tmp_path):
    source = source_of("absent.gz")
    put(cache / source.file, b"of another descriptor")
    with pytest.raises(DownloadError) as raised:
        fetch_file(source, base=tmp_path)
    assert f"put it at {stored_in(cache, source)}\n" in str(raised.value)
    put(stored_in(cache, source), BODY)
    assert fetch_file(source, base=tmp_path) == stored_in(cache, source)


@pytest.mark.parametrize("form", ["file://{path}", "file://localhost{path}", "{path}", "mirror/a%20file", "~/a%20file"])
def test_a_mirror_on_disk_needs_no_code(cache, tmp_path, monkeypatch, capsys, form):
    monkeypatch.setenv("HOME", str(tmp_path / "mirror"))
    url = form.format(path=tmp_path / "mirror" / "a%20file")
    path = put(tmp_path / "mirror" / ("a file" if form.startswith("file") else "a%20file"), BODY)
    source = source_of(url)
    assert fetch_file(source, base=tmp_path) == stored_in(cache, source)
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
        fetch_file(source_of("mirror.gz"), base=tmp_path)


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
    fetch_file(source, base=Path())
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
        ("cct_no_such_package/data", "the Python package cct_no_such_package is not installed"),
        ("__main__/data", "the Python package __main__ is not installed"),
        ("random/data", "the Python package random is not installed"),
    ],
)
def test_a_wrong_package_address_is_refused(package, address, reason):
    with pytest.raises(DownloadError, match=f"  package:{address}: .*{reason}"):
        fetch_file(source_of(f"package:{address}"), base=Path())


@pytest.mark.parametrize("plain", [True, False])
def test_a_file_put_by_hand_is_accepted(server, cache, capsys, plain):
    source = source_of(f"{server.url}/honest")
    path = put(cache / source.file if plain else stored_in(cache, source), BODY)
    assert fetch_file(source, base=Path()) == path
    assert capsys.readouterr().out == f"{source.file}: found in the cache ({path})\n"
    assert not server.requests


@pytest.mark.parametrize("content", [b"short", bytes(len(BODY))])
def test_a_wrong_file_put_by_hand_is_reported_and_left(server, cache, capsys, content):
    source = source_of(f"{server.url}/honest")
    path = put(cache / source.file, content)
    assert fetch_file(source, base=Path()) == stored_in(cache, source)
    assert path.read_bytes() == content
    assert capsys.readouterr().out.count(f"{path} is not used and left as it is: it has ") == 1


def test_a_wrong_file_where_the_download_belongs_is_renamed(server, cache, capsys):
    source = source_of(f"{server.url}/honest")
    path = put(stored_in(cache, source), b"spoilt")
    fetch_file(source, base=Path())
    aside = path.with_name(f"{source.file}.rejected-{hashlib.sha256(b'spoilt').hexdigest()[:8]}")
    assert (path.read_bytes(), aside.read_bytes()) == (BODY, b"spoilt")
    assert f"{path} has 6 bytes, expected 200,000; renamed to {aside.name}" in capsys.readouterr().out


def test_the_cache_is_checked_again_every_time(server, cache):
    source = source_of(f"{server.url}/honest")
    path = fetch_file(source, base=Path())
    fetch_file(source, base=Path())
    assert len(server.requests) == 1
    path.write_bytes(BODY[:-1] + b"x")
    assert fetch_file(source, base=Path()).read_bytes() == BODY
    assert len(server.requests) == 2


def test_two_sources_may_share_a_file_name(cache, tmp_path):
    bodies = [b"official", b"reduced"]
    for body in bodies:
        put(tmp_path / body.decode(), body)
    sources = [source_of(body.decode(), body=body) for body in bodies]
    for _ in range(2):
        assert [fetch_file(source, base=tmp_path).read_bytes() for source in sources] == bodies
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
        fetch_file(source_of(f"{server.url}/honest"), base=Path())
    assert not server.requests


def test_a_full_disk_is_one_clear_error(server, cache):
    cache.mkdir()
    mount = shutil.which("mount")
    if not mount or subprocess.run([mount, "-t", "tmpfs", "-o", "size=100k", "none", cache], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        with pytest.raises(DownloadError, match=f"(?s)cache folder {cache}: No space left on device.*CCT_CACHE"):
            fetch_file(source_of(f"{server.url}/honest", f"{server.url}/missing"), base=Path())
    finally:
        subprocess.run(["umount", cache], check=True)
    assert len(server.requests) == 1  # another URL would not help


def test_a_write_that_fails_midway_is_one_clear_error(server, cache):
    """As a full disk, but on every machine: the process may write no more than 100,000 bytes to a file."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    _, errors = child(f"{server.url}/honest", preexec_fn=limit).communicate(timeout=HUNG_S)
    assert f"DownloadError: cannot use the cache folder {cache}: File too large" in errors


def test_two_processes_download_once(server, cache):
    url = f"{server.url}/waits"
    first = child(url)
    assert server.half_sent.wait(HUNG_S)
    second = child(url)
    assert "waiting for another process" in second.stdout.readline()
    server.release.set()
    (_, errors), (said, more_errors) = first.communicate(timeout=HUNG_S), second.communicate(timeout=HUNG_S)
    assert (first.returncode, errors, second.returncode, more_errors) == (0, "", 0, "")
    assert "found in the cache" in said
    assert len(server.requests) == 1
    assert is_clean(cache, source_of(url))


def test_a_killed_download_is_resumed(server, cache):
    source = source_of(f"{server.url}/stalls_once")
    part = cache / source.sha256[:12] / f"{source.file}.part"
    process = child(*source.urls)  # with the true READ_TIMEOUT_S
    end = time.monotonic() + HUNG_S
    while not (part.exists() and part.stat().st_size == CUT) and time.monotonic() < end:
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=HUNG_S)
    fetch_file(source, base=Path())
    assert is_clean(cache, source)
    assert ranges(server) == [None, FROM_CUT]
