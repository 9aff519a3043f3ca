"""HTTP by hand, so that a test sends what no client library would."""

import json
import socket
from collections.abc import Iterable
from typing import Any, NamedTuple

from patience import HUNG_S


class Response(NamedTuple):
    """A response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of a request. A header's underscores become hyphens; None leaves one out."""
    fields = {"Host": "127.0.0.1", "Content-Length": str(len(body))} if body else {"Host": "127.0.0.1"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunked(path: str, chunks: Iterable[bytes], **headers: str) -> bytes:
    """A request without a Content-Length."""
    head = request("POST", path, Transfer_Encoding="chunked", **headers)
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])


def form(*parts: tuple[str, str | None, bytes], boundary: str = "limit") -> tuple[bytes, str]:
    """A body of multipart/form-data and its media type. Each part is a field's name, a file's name, and the content."""
    body = b""
    for name, file, content in parts:
        more = "" if file is None else f'; filename="{file}"'
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def send(port: int, content: bytes) -> Response:
    """Send bytes, and read one response."""
    with socket.create_connection(("127.0.0.1", port), timeout=HUNG_S) as connection:
        connection.sendall(content)
        return receive(connection)


def receive(connection: socket.socket) -> Response:
    """Read one response."""
    with connection.makefile("rb") as file:
        status = file.readline().split()
        assert len(status) > 1, "the server closed the connection without a response"
        headers = {}
        while line := file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return Response(int(status[1]), headers, file.read(int(headers["content-length"])))


def post_json(port: int, value: Any, path: str = "/predict") -> Response:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return send(port, request("POST", path, body, Content_Type="application/json"))


def post_files(port: int, *files: tuple[str, bytes], path: str = "/predict") -> Response:
    body, media_type = form(*(("images", name, content) for name, content in files))
    return send(port, request("POST", path, body, Content_Type=media_type))
