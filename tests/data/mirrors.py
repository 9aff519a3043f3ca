"""A real web server on this machine, which misbehaves according to the URL's path, and sources that name it."""

import datetime
import email.utils
import gzip
import hashlib
import http.server
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from patience import HUNG_S

from cct.data.sources import SourceFile

BODY = random.Random(0).randbytes(200_000)
PACKED = gzip.compress(BODY, mtime=0)
CUT = 70_000  # bytes that a server sends before it breaks off


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

    def escapes(self):
        self.send_response(404, "\x1b[31mred\x07")
        self.end_headers()

    def claims_a_number_without_end(self):
        self.head(200, Content_Length="9" * 5000)

    def claims_in_other_digits(self):
        self.head(200, Content_Length="1\xb2")

    def range_without_end(self):
        self.head(206, Content_Range=f"bytes {'9' * 5000}-5/{'9' * 5000}")
        self.wfile.write(BODY)

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
        self.server.release.wait(HUNG_S)

    def stalls_at_the_end(self):
        self.claims_nothing()
        self.wfile.flush()
        self.server.release.wait(HUNG_S)

    def stalls(self):
        self.server.release.wait(HUNG_S)

    def waits(self):
        self.server.half_sent.set()
        self.server.release.wait(HUNG_S)
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

    def busy_until_no_date(self):
        no_date = "Mon, 01 Jan 2024 00:00:00 +99999999999999"
        self.head(503, Retry_After=no_date) if self.nth == 1 else self.honest()

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

    def packed(self):  # without its length
        self.head(200)
        self.wfile.write(PACKED)

    def packed_cut(self):
        first = self.asked()
        if first is None:
            self.head(200, Content_Length=len(PACKED))
            self.wfile.write(PACKED[:CUT])
        else:
            self.head(
                206, Content_Length=len(PACKED) - first, Content_Range=f"bytes {first}-{len(PACKED) - 1}/{len(PACKED)}"
            )
            self.wfile.write(PACKED[first:])

    def packed_damaged(self):
        self.head(200, Content_Length=CUT)
        self.wfile.write(PACKED[:CUT])

    def packed_bomb(self):
        bomb = gzip.compress(bytes(1 << 26), 9)
        self.head(200, Content_Length=len(bomb))
        self.wfile.write(bomb)

    def packed_huge(self):
        self.head(200, Content_Length=1 << 40)

    def labelled(self):  # as Apache does for a .gz file
        self.head(200, Content_Length=len(BODY), Content_Encoding="gzip")
        self.wfile.write(BODY)


def source_of(*urls, body=BODY, file="images.tar.gz"):
    return SourceFile(file=file, size=len(body), sha256=hashlib.sha256(body).hexdigest(), urls=list(urls))


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
CHILD = """
import pathlib, sys
from cct.data.download import fetch_file
from cct.log import configure_logging
from mirrors import source_of
configure_logging()
fetch_file(source_of(sys.argv[1]), base=pathlib.Path())
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
