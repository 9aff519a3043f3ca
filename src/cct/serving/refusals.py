"""Requests that are not answered as asked: a status and one sentence, never a traceback."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

RETRY = {"Retry-After": "1"}  # of each 503: the server has enough to do


class Refusal(Exception):
    """A request is refused.

    Attributes:
        status: of HTTP, 400 or more.
        sentence: what happened and what is allowed, for the client.
        headers: more headers of the response.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})


def busy(sentence: str) -> Refusal:
    """The refusal of a server that has enough to do. A client may ask again after a second."""
    return Refusal(503, sentence, RETRY)


def error_body(sentence: str) -> bytes:
    """The body of every refusal."""
    return _as_bytes({"error": sentence})


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with a JSON value."""
    return Response(_as_bytes(content), status, headers, media_type="application/json")


def _as_bytes(content: Any) -> bytes:
    """A JSON value in UTF-8. Half a letter in it, which JSON can name but UTF-8 cannot write, becomes "?"."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def refusal_response(refusal: Refusal) -> Response:
    """The response to a refused request."""
    return Response(error_body(refusal.sentence), refusal.status, refusal.headers, media_type="application/json")
