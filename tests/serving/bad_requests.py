"""Requests and files that cannot be answered, and what the server says of each.

    PYTHONPATH=tests python tests/serving/bad_requests.py    # writes the tables of docs/serve.md

In a sentence … stands for any text.
"""

import base64
import io
import json
import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exchange import chunked, form, request
from PIL import Image

from cct.markers import fill_markers
from cct.serving import limits

# Of the server that the tests ask.
LIMITS = {
    "body_bytes": 100_000,
    "inputs": 4,
    "pixels": 1_000_000,
    "json_items": 45_000,
    "head_seconds": 2,
    "body_seconds": 2,
}
PAGE = Path(__file__).parents[2] / "docs/serve.md"
JSON = "application/json"


class Bad(NamedTuple):
    """A request that is refused."""

    what: str
    content: bytes
    status: int
    sentence: str

    def says(self, sentence: str) -> bool:
        """Whether a sentence is the one of the table."""
        return bool(re.fullmatch(".+".join(re.escape(part.strip()) for part in self.sentence.split("…")), sentence))


def image(kind: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (20, 20), **options: Any) -> bytes:
    """An image file of one value."""
    file = io.BytesIO()
    Image.new(mode, size, 0 if mode == "F" else None).save(file, kind, **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG file of a few bytes that says it has so many pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def _json(body: Any) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request("POST", "/predict", content, Content_Type=JSON)


def _files(*contents: bytes) -> bytes:
    body, media_type = form(*(("images", f"{place}.png", content) for place, content in enumerate(contents)))
    return request("POST", "/predict", body, Content_Type=media_type)


def _form(body: bytes, media_type: str) -> bytes:
    return request("POST", "/predict", body, Content_Type=media_type)


def _query(text: str) -> bytes:
    return request("POST", f"/predict?{text}", image(), Content_Type="image/png")


GREY = [[7, 7], [7, 7]]
CUT_FORM, FORM = form(("images", "a.png", image()))
NAMELESS = b'--limit\r\nContent-Disposition: form-data; filename="a.png"\r\n\r\nx\r\n--limit--\r\n'
NOT_HTTP = "this is not a request of HTTP/1.1, or its headers are too long"
WRONG_QUERY = "in the address, {} is wrong: top is a whole number from 1 to 1,000, coverage is 0.01, 0.02, ... 0.99, …"
WRONG_JSON = 'the JSON must be {"images": [...]}, each in base64 or as a list of rows of pixels'
UNKNOWN_TYPE = "the Content-Type is {}, but must be multipart/form-data, application/json, image/*"
NO_ROUTE = "there is no such address: GET /docs lists all"
NO_METHOD = "the method {} is not for this address: GET /docs lists all"
NO_IMAGE = "0.png: not an image (JPEG, PNG, WEBP, BMP, GIF, TIFF)"
BODY_TOO_LARGE = "the body has more than … bytes (the server's --limit body_bytes): send fewer or smaller inputs"
TOO_MANY_ITEMS = (
    "the JSON has more than … commas, brackets and braces (the server's --limit json_items): send fewer inputs, or "
    "images as files"
)
TOO_MANY = "the request has more than … inputs (the server's --limit inputs): send several requests"
WRONG_CHARSET = "the form is damaged: its charset cannot decode its names, so send none"
NOT_WHOLE = "image 0: its pixels are not whole numbers from 0 to 255"
NOT_ROWS = "image 0: neither a text in base64 nor a list of rows of pixels"
SHAPE = "image 0: an array of uint8 {}, where an image is uint8 (height, width, 1 or 3), of raw pixels from 0 to 255"

PROTOCOL = [
    Bad("not HTTP", b"hello\r\n\r\n", 400, NOT_HTTP),
    Bad("no `Host`", b"GET /health HTTP/1.1\r\n\r\n", 400, NOT_HTTP),
    Bad("headers of 200 kB", request("GET", "/health", X="a" * 200_000), 400, NOT_HTTP),
    Bad("headers that never end", b"GET /health HTTP/1.1\r\nHost: a\r\nX: ", 408, "the headers … within … seconds"),
    Bad("`Content-Length: many`", request("POST", "/predict", Content_Length="many"), 400, NOT_HTTP),
    Bad("`Content-Length: -1`", request("POST", "/predict", Content_Length="-1"), 400, NOT_HTTP),
    Bad("no such address", request("GET", "/predictions"), 404, NO_ROUTE),
    Bad("an address with `..`", request("GET", "/../../etc/passwd"), 404, NO_ROUTE),
    Bad("an address with a slash behind it", request("POST", "/predict/", image()), 404, NO_ROUTE),
    Bad("`GET /predict`", request("GET", "/predict"), 405, NO_METHOD.format("GET")),
    Bad("`DELETE /predict`", request("DELETE", "/predict"), 405, NO_METHOD.format("DELETE")),
    Bad("an unknown method", request("GUESS", "/predict"), 405, NO_METHOD.format("GUESS")),
    Bad("`POST /health`", request("POST", "/health", b"{}"), 405, NO_METHOD.format("POST")),
    Bad("`?top=0`", _query("top=0"), 400, WRONG_QUERY.format("top")),
    Bad("`?top=1001`", _query("top=1001"), 400, WRONG_QUERY.format("top")),
    Bad("`?top=2.5`", _query("top=2.5"), 400, WRONG_QUERY.format("top")),
    Bad("`?tpo=2`", _query("tpo=2"), 400, WRONG_QUERY.format("tpo")),
    Bad("`?top=2&top=3`", _query("top=2&top=3"), 400, "in the address, top is there twice"),
    Bad("`?coverage=95`", _query("coverage=95"), 400, WRONG_QUERY.format("coverage")),
    Bad("`?coverage=0.955`", _query("coverage=0.955"), 400, WRONG_QUERY.format("coverage")),
    Bad("`?coverage=nan`", _query("coverage=nan"), 400, WRONG_QUERY.format("coverage")),
    Bad(
        "`/explain?top=2`",
        request("POST", "/explain?top=2", image(), Content_Type="image/png"),
        400,
        "in the address, top is wrong: /explain has no options",
    ),
    Bad("no `Content-Type`", request("POST", "/predict", image()), 415, UNKNOWN_TYPE.format("'absent'")),
    Bad("`text/plain`", _form(b"cat", "text/plain"), 415, UNKNOWN_TYPE.format("'text/plain'")),
    Bad("`curl -d`", _form(b"a=b", "application/x-www-form-urlencoded"), 415, UNKNOWN_TYPE.format("…")),
    Bad(
        "`Content-Encoding: gzip`",
        request("POST", "/predict", b"x", Content_Type=JSON, Content_Encoding="gzip"),
        415,
        "the Content-Encoding is 'gzip': send the body as it is",
    ),
    Bad("a body that is too large", _form(bytes(200_000), "image/png"), 413, BODY_TOO_LARGE),
    Bad(
        "the same in chunks",
        chunked("/predict", [bytes(10_000)] * 20, Content_Type="image/png"),
        413,
        BODY_TOO_LARGE,
    ),
    Bad(
        "a body that never ends",
        request("POST", "/predict", Content_Type="image/png", Content_Length="50"),
        408,
        "the body did not come within … seconds",
    ),
    Bad(
        "a damaged chunk",
        request("POST", "/predict", Transfer_Encoding="chunked", Content_Type=JSON) + b"many\r\n",
        400,
        NOT_HTTP,
    ),
]
FORMS = [
    Bad("a form without a file", _form(*form()), 400, "the request has no image"),
    Bad("a form without a boundary", _form(CUT_FORM, "multipart/form-data"), 400, "the form is damaged: Missing …"),
    Bad("a form that is cut off", _form(CUT_FORM[:-20], FORM), 400, "the form is damaged: it ends too early"),
    Bad("a form with another boundary", _form(CUT_FORM, FORM + "s"), 400, "the form is damaged: …"),
    Bad("a form with `charset=undefined`", _form(CUT_FORM, f"{FORM}; charset=undefined"), 400, WRONG_CHARSET),
    Bad("a form with `charset=punycode`", _form(CUT_FORM, f"{FORM}; charset=punycode"), 400, WRONG_CHARSET),
    Bad("a file without a field's name", _form(NAMELESS, FORM), 400, "the form is damaged: …"),
    Bad("a text field", _form(*form(("top", None, b"3"))), 400, "the field 'top' of the form is no file: …"),
    Bad("a form of 5 files where 4 may be", _files(*[image()] * 5), 413, TOO_MANY),
    Bad("a form of 90 files", _files(*[image()] * 90), 413, TOO_MANY),
    Bad("an empty body of `image/png`", request("POST", "/predict", Content_Type="image/png"), 400, "the request …"),
]
BODIES = [
    Bad("an empty body", request("POST", "/predict", Content_Type=JSON), 400, "the body is not JSON: …"),
    Bad("JSON that is cut off", _json(b'{"images": ['), 400, "the body is not JSON: …"),
    Bad("text that is not UTF-8", _json(b'{"images": ["\xff"]}'), 400, "the body is not JSON: …"),
    Bad("`NaN`", _json(b'{"images": [[[NaN]]]}'), 400, "the body is not JSON: NaN is not in JSON"),
    Bad("`-Infinity`", _json(b'{"images": [[[-Infinity]]]}'), 400, "the body is not JSON: -Infinity is not in JSON"),
    Bad("a number of 9,000 digits", _json(b'{"images": [[[%b]]]}' % (b"1" * 9000)), 400, "the body is not JSON: …"),
    Bad("lists nested 40,000 deep", _json(b"[" * 40_000 + b"]" * 40_000), 400, "the JSON is nested too deeply"),
    Bad("lists without end", _json(b'{"images": [%b' % (b"[]," * 23_000)), 413, TOO_MANY_ITEMS),
    Bad("numbers without end", _json(b'{"images": [[%b' % (b"0," * 45_000)), 413, TOO_MANY_ITEMS),
    Bad("a list instead of an object", _json([GREY]), 400, WRONG_JSON),
    Bad("another name", _json({"image": [GREY]}), 400, WRONG_JSON),
    Bad("a name too many", _json({"images": [GREY], "top": 3}), 400, WRONG_JSON),
    Bad("an image that is not in a list", _json({"images": "abcd"}), 400, WRONG_JSON),
    Bad("no image", _json({"images": []}), 400, "the request has no image"),
    Bad("5 images where 4 may be", _json({"images": [GREY] * 5}), 413, TOO_MANY),
    Bad("`null` as an image", _json({"images": [None]}), 422, NOT_ROWS),
    Bad("an object as an image", _json({"images": [{"a": 1}]}), 422, NOT_ROWS),
    Bad("what is not base64", _json({"images": ["%%%"]}), 422, "image 0: not base64: …"),
    Bad("letters beyond ASCII", _json({"images": ["äöü"]}), 422, "image 0: not base64: …"),
    Bad("base64 that is cut off", _json({"images": ["YWJjZ"]}), 422, "image 0: not base64: …"),
    Bad("an empty text", _json({"images": [""]}), 422, "image 0: empty"),
    Bad(
        "base64 of a text",
        _json({"images": [base64.b64encode(b"a cat").decode()]}),
        422,
        "image 0: not an image (JPEG, PNG, WEBP, BMP, GIF, TIFF)",
    ),
    Bad("rows of different lengths", _json({"images": [[[1, 2], [3]]]}), 422, "image 0: its rows … lengths or depths"),
    Bad("lists nested 90 deep", _json(b'{"images": [%b1%b]}' % (b"[" * 90, b"]" * 90)), 422, "image 0: its rows …"),
    Bad("a pixel of 256", _json({"images": [[[256]]]}), 422, NOT_WHOLE),
    Bad("a pixel of -1", _json({"images": [[[-1]]]}), 422, NOT_WHOLE),
    Bad("a pixel of 0.5", _json({"images": [[[0.5]]]}), 422, NOT_WHOLE),
    Bad("a pixel of 1e999", _json(b'{"images": [[[1e999]]]}'), 422, NOT_WHOLE),
    Bad("a pixel of 30 digits", _json({"images": [[[10**30]]]}), 422, "image 0: its pixels are not numbers"),
    Bad("a text as a pixel", _json({"images": [[["7"]]]}), 422, "image 0: its pixels are not numbers"),
    Bad("`true` as a pixel", _json({"images": [[[True]]]}), 422, "image 0: its pixels are not numbers"),
    Bad("`true` among numbers", _json({"images": [[[True, 1]]]}), 422, "image 0: its pixels are not numbers"),
    Bad(
        "a long text among numbers",
        _json({"images": [[["a" * 20_000, *[1] * 2000]]]}),
        422,
        "image 0: its pixels are not numbers",
    ),
    Bad("an image without pixels", _json({"images": [[]]}), 422, SHAPE.format("(0,)")),
    Bad("an array of one pixel", _json({"images": [[[7]]]}), 422, "image 0: 1x1 pixels: too small"),
    Bad("one row alone", _json({"images": [[1, 2, 3]]}), 422, SHAPE.format("(3,)")),
    Bad("two channels", _json({"images": [[[[1, 2]]]]}), 422, SHAPE.format("(1, 1, 2)")),
]
FILES = [
    Bad("an empty file", _files(b""), 422, "0.png: empty"),
    Bad("a text", _files(b"a cat"), 422, NO_IMAGE),
    Bad("a web page", _files(b"<!DOCTYPE html><p>a cat"), 422, NO_IMAGE),
    Bad("an SVG image", _files(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), 422, NO_IMAGE),
    Bad("a PDF", _files(b"%PDF-1.7\n"), 422, NO_IMAGE),
    Bad("PostScript", _files(image("EPS")), 422, NO_IMAGE),
    Bad("an icon", _files(image("ICO")), 422, NO_IMAGE),
    Bad("a zip archive", _files(b"PK\x05\x06" + bytes(18)), 422, NO_IMAGE),
    Bad("the start of a PNG", _files(image()[:50]), 422, "0.png: damaged: …"),
    Bad("the start of a JPEG", _files(image("JPEG", size=(200, 200))[:-300]), 422, "0.png: damaged: …"),
    Bad("the start of a GIF", _files(image("GIF", size=(200, 200))[:-30]), 422, "0.png: damaged: …"),
    Bad("the start of a TIFF", _files(image("TIFF", size=(100, 100))[:-300]), 422, "0.png: damaged: …"),
    Bad("the start of a WebP", _files(image("WEBP", size=(200, 200))[:-30]), 422, "0.png: damaged: …"),
    Bad("one pixel", _files(image(size=(1, 1))), 422, "0.png: 1x1 pixels: too small"),
    Bad("pixels of 32 bits", _files(image("TIFF", "F")), 422, "0.png: damaged: pixels of 32 bits (F) have no known …"),
    Bad("a decompression bomb", _files(png_header(1100, 1000)), 422, "0.png: 1,100,000 pixels, more than 1,000,000"),
    Bad("one of 900 million pixels", _files(png_header(30_000, 30_000)), 422, "0.png: more than 134,217,728 pixels"),
    Bad(
        "three files, all bad",
        _files(b"", b"a", b"b"),
        422,
        "none of the 3 images can be used; the first: 0.png: empty",
    ),
]
ALL = [*PROTOCOL, *FORMS, *BODIES, *FILES]
NO_TEXTS = 'the JSON must be {"texts": [...]}, each a text'
# Those that only a model of texts gets.
TEXTS = [
    Bad("an empty text", _json({"texts": [""]}), 422, "text 0: empty"),
    Bad(
        "two texts, both empty",
        _json({"texts": ["", " "]}),
        422,
        "none of the 2 texts can be used; the first: text 0: empty",
    ),
    Bad("a text that is an object", _json({"texts": [{"a": 1}]}), 422, "text 0: not a text"),
    Bad("a text with too many letters", _json({"texts": ["x" * 50_001]}), 422, "text 0: … letters, more than …"),
    Bad("no texts", _json({"texts": []}), 400, "the request has no text"),
    Bad("too many texts", _json({"texts": ["a"] * 5}), 413, TOO_MANY),
    Bad('the key "images"', _json({"images": ["a"]}), 400, NO_TEXTS),
    Bad("one text, not in a list", _json({"texts": "good"}), 400, NO_TEXTS),
    Bad("a list alone", _json([]), 400, NO_TEXTS),
    Bad("JSON that is not UTF-8", _json(b'{"texts": ["\xff"]}'), 400, "the body is not JSON: …"),
    Bad(
        "`text/plain` that is not UTF-8",
        request("POST", "/predict", b"caf\xe9 au lait", Content_Type="text/plain"),
        400,
        "the body is not UTF-8: the byte 3 is wrong",
    ),
    Bad("an image file", _files(b"x"), 415, "the Content-Type is …, but must be application/json, text/plain"),
    Bad(
        "two texts for `/explain`",
        request("POST", "/explain", json.dumps({"texts": ["a", "b"]}).encode(), Content_Type=JSON),
        400,
        "the request has 2 texts, and /explain takes one",
    ),
]


def table(requests: Sequence[Bad]) -> str:
    """The rows for people."""
    lines = ["| request | status | `error` |", "| --- | --- | --- |"]
    lines += [f"| {bad.what} | {bad.status} | {bad.sentence.replace('|', chr(92) + '|')} |" for bad in requests]
    return "\n".join(lines)


def limits_table() -> str:
    """The limits for people."""
    lines = ["| `--limit` | default | at most | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{name}` | {one.default:,} | {one.most:,} | {one.meaning} |" for name, one in limits.LIMITS.items()]
    return "\n".join(lines)


def filled_page() -> str:
    """The page docs/serve.md with its tables."""
    return fill_markers(PAGE, {"bad requests": table(ALL), "bad texts": table(TEXTS), "limits": limits_table()})


if __name__ == "__main__":
    PAGE.write_text(filled_page(), encoding="utf-8")
