"""Downloads from servers with every kind of behaviour."""

import gzip
import hashlib
import itertools
import os
import pty
import re
import socket
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from mirrors import BODY, CUT, FROM_CUT, PACKED, is_clean, put, ranges, source_of, stored_in
from patience import HUNG_S

from cct.data.download import DownloadError, fetch_file

pytestmark = pytest.mark.usefixtures("cache")


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
    assert fetch_file(source, base=Path()) == stored_in(cache, source)
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
        ("claims_a_number_without_end", 1, "says that the file has '99999999999999999999' bytes"),
        ("claims_in_other_digits", 1, "says that the file has '1\\xb2' bytes"),
        ("range_without_end", 4, "sent another range than the requested one from byte 0, 4 times"),
    ],
)
def test_a_server_that_has_it_not_is_left_for_the_next(server, cache, monkeypatch, capsys, behaviour, requests, reason):
    if behaviour.startswith("stalls"):
        monkeypatch.setattr("cct.data.transfer.READ_TIMEOUT_S", 0.4)
    bad = f"{server.url}/{behaviour}"
    source = source_of(bad, f"{server.url}/honest")
    fetch_file(source, base=Path())
    assert is_clean(cache, source)
    paths = [path for path, _, _ in server.requests]
    assert paths == [f"/{behaviour}"] * requests + ["/honest"]
    assert f"{source.file}: not from {bad}: {reason}" in capsys.readouterr().out


def test_an_endless_answer_is_cut_off(server, cache):
    with pytest.raises(DownloadError, match="sent more than 200,000 bytes"):
        fetch_file(source_of(f"{server.url}/endless"), base=Path())
    assert server.hung_up.wait(HUNG_S)
    assert not server.swallowed.is_set()
    assert sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) == 0


def test_a_wrong_offer_costs_no_partial_download(server, cache):
    bad = ("claims_less", "other_total", "always_other_range", "missing", "broken")
    source = source_of(*(f"{server.url}/{behaviour}" for behaviour in bad), "absent.gz")
    part = put(cache / source.sha256[:12] / f"{source.file}.part", BODY[:CUT])
    with pytest.raises(DownloadError, match=r"0\.1 MB are kept"):
        fetch_file(source, base=Path())
    assert part.read_bytes() == BODY[:CUT]


def test_the_next_url_goes_on_from_what_the_last_one_sent(server, cache):
    fetch_file(source_of(f"{server.url}/no_ranges_always_cut", f"{server.url}/honest"), base=Path())
    assert ranges(server)[-1] == FROM_CUT


def test_a_part_that_is_complete_needs_no_request(server, cache):
    source = source_of(f"{server.url}/honest")
    put(cache / source.sha256[:12] / f"{source.file}.part", BODY)
    fetch_file(source, base=Path())
    assert is_clean(cache, source)
    assert not server.requests


@pytest.mark.parametrize(("behaviour", "least"), [("busy", 1.0), ("busy_until", 0.9), ("busy_until_no_date", 0.0)])
def test_retry_after_is_honoured(server, behaviour, least):
    fetch_file(source_of(f"{server.url}/{behaviour}"), base=Path())
    (_, _, first), (_, _, second) = server.requests
    assert second - first >= least


def test_back_off_doubles(server, monkeypatch):
    monkeypatch.setattr("cct.data.transfer.BACKOFF_S", 0.05)
    with pytest.raises(DownloadError):
        fetch_file(source_of(f"{server.url}/broken"), base=Path())
    moments = [moment for _, _, moment in server.requests]
    for wait, (earlier, later) in zip((0.05, 0.1, 0.2), itertools.pairwise(moments), strict=True):
        assert later - earlier >= wait


def test_a_proxy_in_the_environment_is_used(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    fetch_file(source_of("http://nowhere.invalid/honest"), base=Path())
    assert len(server.requests) == 1


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
        fetch_file(source_of(url.format(port=server.server_port)), base=Path())
    for text in (str(raised.value), capsys.readouterr().out):
        assert "://***@" in text
        assert "Ann" not in text and "s3" not in text and "cret" not in text


@pytest.mark.parametrize(
    "name",
    ["token", "access_token", "sig", "X-Amz-Signature", "X-Amz-Credential", "api_key", "jwt", "passphrase", "auth"],
)
def test_tokens_in_a_query_are_never_printed(server, capsys, name):
    url = f"{server.url}/missing?a=1&{name}=s3cret%2Fx&b=2"
    with pytest.raises(DownloadError) as raised:
        fetch_file(source_of(url), base=Path())
    for text in (str(raised.value), capsys.readouterr().out):
        assert f"/missing?a=1&{name}=***&b=2" in text and "s3cret" not in text


def test_a_name_that_does_not_resolve_is_asked_once(capsys, monkeypatch, cache):
    asked = []

    def no_such_name(host, *words, **options):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    with pytest.raises(DownloadError, match="Name or service not known"):
        fetch_file(source_of("http://no-such-host.invalid/a"), base=Path())
    assert asked == ["no-such-host.invalid"] and "asking again" not in capsys.readouterr().out


def test_control_characters_of_a_server_are_shown_as_escapes(server, capsys):
    with pytest.raises(DownloadError):
        fetch_file(source_of(f"{server.url}/escapes"), base=Path())
    assert "HTTP 404 \\x1b[31mred\\x07" in capsys.readouterr().out


def test_an_at_sign_in_a_path_is_no_credential(server, capsys):
    with pytest.raises(DownloadError, match=f"{server.url}/missing/a@b: HTTP 404"):
        fetch_file(source_of(f"{server.url}/missing/a@b"), base=Path())


def test_credentials_are_sent(server):
    fetch_file(source_of(f"http://Ann:s3cret@127.0.0.1:{server.server_port}/honest"), base=Path())
    assert server.requests[0][1]["Authorization"] == "Basic QW5uOnMzY3JldA=="


def test_elsewhere_than_on_a_terminal_progress_is_plain_lines(server, capsys):
    fetch_file(source_of(f"{server.url}/honest"), base=Path())
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"images.tar.gz: downloading from {server.url}/honest"
    line = re.compile(r"images.tar.gz: (\d+) %, 0\.[012] of 0\.2 MB, \d+\.\d\d MB/s, 00:00 left")
    percents = [int(line.fullmatch(text)[1]) for text in lines]
    assert 6 <= len(percents) <= 10  # the body comes in 7 pieces or more
    assert all(later - earlier >= 9 for earlier, later in itertools.pairwise([0, *percents]))  # 10, but for rounding


def test_a_slow_download_says_a_line_now_and_then(server, capsys, monkeypatch):
    monkeypatch.setattr("cct.data.transfer.LINE_SHARE", 2.0)
    fetch_file(source_of(f"{server.url}/honest"), base=Path())
    assert "%" not in capsys.readouterr().out
    monkeypatch.setattr("cct.data.transfer.LINE_S", 0.0)
    fetch_file(source_of(f"{server.url}/honest", body=BODY, file="another.gz"), base=Path())
    assert "another.gz: 100 %, 0.2 of 0.2 MB" in capsys.readouterr().out


def test_on_a_terminal_there_is_a_bar(server, monkeypatch):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        fetch_file(source_of(f"{server.url}/honest"), base=Path())
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


@pytest.mark.parametrize("behaviour", ["packed", "packed_cut"])
def test_a_gz_file_is_unpacked(server, cache, behaviour):
    source = source_of(f"{server.url}/{behaviour}/images.GZ?version=2", file="images")
    assert fetch_file(source, base=Path()).read_bytes() == BODY
    assert ranges(server) == ([None] if behaviour == "packed" else [None, f"bytes={CUT}-"])
    assert sorted(path.name for path in stored_in(cache, source).parent.iterdir()) == ["images", "images.lock"]


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("packed_damaged", "sent the wrong file: it is not a whole .gz file: "),
        ("honest", "is not a whole .gz file: Not a gzipped file"),
        ("packed_bomb", "sent more than 200,000 bytes"),
        ("packed_huge", "offers 1,099,511,627,776 bytes, more than the limit of 203,000"),
    ],
)
def test_a_wrong_gz_file_is_left_for_the_next_address(server, cache, behaviour, why, capsys):
    source = source_of(f"{server.url}/{behaviour}/images.gz", f"{server.url}/honest/images", file="images")
    assert fetch_file(source, base=Path()).read_bytes() == BODY
    assert why in capsys.readouterr().out
    assert not list(cache.rglob("*.unpacked"))


def test_a_gz_file_on_disk_is_unpacked(cache, tmp_path):
    (tmp_path / "images.gz").write_bytes(PACKED)
    (tmp_path / "other.gz").write_bytes(gzip.compress(b"other"))
    source = source_of("absent.gz", "other.gz", "images.gz", file="images")
    assert fetch_file(source, base=tmp_path).read_bytes() == BODY
    source = source_of("absent.gz", "other.gz", body=BODY[:1000], file="images")
    with pytest.raises(DownloadError) as caught:
        fetch_file(source, base=tmp_path)
    assert "absent.gz does not exist" in str(caught.value)
    assert "other.gz is the .gz of a file that has 5 bytes, expected 1,000" in str(caught.value)
    assert "(it must have 1,000 bytes and sha256 " in str(caught.value)
