"""The routes of the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp

from cct import __version__
from cct.serving import schema
from cct.serving.metrics import MEDIA_TYPE
from cct.serving.middleware import Watched
from cct.serving.queries import parse_query, refuse_options
from cct.serving.refusals import Refusal, json_response, refusal_response
from cct.serving.schema_page import schema_page
from cct.serving.service import Service

# The browser itself then loads nothing from anywhere else.
POLICY = (
    "default-src 'none'; img-src 'self' blob: data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def make_app(service: Service) -> ASGIApp:
    """The server's application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    described = schema.DESCRIPTION.format(service.kind.one)
    app = FastAPI(
        title="cct serve",
        version=__version__,
        description=described,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the redirection would name the host that the client names
    )
    _add_routes(app, service)
    app.openapi()  # FastAPI keeps this description, so it does not list HEAD, which is added now
    for route in app.routes:
        if "GET" in route.methods:
            route.methods.add("HEAD")  # uvicorn sends the answer without its body
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    paths = [route.path for route in app.routes]
    return Watched(app, service.metrics, paths)


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post("/predict", **schema.predict(service.kind.one))
    async def predict(request: Request) -> Response:
        """Predict the class of each input."""
        query = parse_query(request)
        return json_response({"predictions": await service.predict(request, top=query.top, coverage=query.coverage)})

    @app.post("/explain", **schema.explain(service.kind.one))
    async def explain(request: Request) -> Response:
        """Predict the class of one input, and show what the model looked at."""
        refuse_options(request)
        return json_response(await service.explain(request))

    @app.get("/health", **schema.HEALTH)
    async def health() -> Response:
        """Say that the server answers."""
        return json_response({"status": "ok"})

    @app.get("/model", **schema.MODEL)
    async def model() -> Response:
        """Describe the model: classes, input, calibration, provenance, runtime, limits."""
        return json_response(service.describe())

    @app.get("/metrics", **schema.METRICS)
    async def metrics() -> Response:
        """Count requests, inputs and batches, in the text format of Prometheus."""
        return Response(service.metrics_text(), media_type=MEDIA_TYPE)

    page = resources.files("cct.serving").joinpath("page.html").read_text(encoding="utf-8")

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        # Who opens the page will want to see what the model looked at. A load balancer will not.
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            service.explainer.prepare()
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(schema_page(app.openapi(), service.kind.one), headers={"Content-Security-Policy": POLICY})


async def _refused(request: Request, error: Refusal) -> Response:
    return refusal_response(error)


async def _no_route(request: Request, error: HTTPException) -> Response:
    """Starlette's refusals: no such path, or another method."""
    sentences = {
        404: "there is no such address: GET /docs lists all",
        405: f"the method {request.method[:20]} is not for this address: GET /docs lists all",
    }
    sentence = sentences.get(error.status_code, str(error.detail))
    return refusal_response(Refusal(error.status_code, sentence, error.headers))


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    """Nobody reads it; metrics count it as nginx does."""
    return Response(status_code=499)


async def _failed(request: Request, error: Exception) -> Response:
    """A bug. `Watched` logs it, because Starlette raises the error again after this response."""
    return refusal_response(Refusal(500, "the server failed; its log says why"))


HANDLERS: dict[type[Exception], Any] = {
    Refusal: _refused,
    HTTPException: _no_route,
    ClientDisconnect: _gone,
    Exception: _failed,
}
