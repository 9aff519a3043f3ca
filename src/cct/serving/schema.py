"""The OpenAPI description of each route, beyond its function."""

from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse

from cct.serving.queries import openapi_parameters

DESCRIPTION = "Classifies {}s with a trained model. Every refusal is a JSON object with one sentence as its error."


class Error(BaseModel):
    """A refusal."""

    error: str = Field(description="what happened, and what is allowed")


class Class(BaseModel):
    """A class and its calibrated probability."""

    label: str = Field(description="name of the class")
    probability: float = Field(ge=0, le=1, description="of the class, calibrated")


class Prediction(BaseModel):
    """The prediction of an input; or, where it cannot be used, its name and error alone."""

    input: str = Field(description="name of the file, or the place of the image or text in the request")
    label: str | None = Field(None, description="the most probable class")
    probability: float | None = Field(None, ge=0, le=1, description="of the label, calibrated")
    unsure: bool | None = Field(None, description="whether the probability is low, or there is a warning")
    top: list[Class] | None = Field(None, description="the most probable classes, in their order")
    set: list[str] | None = Field(None, description="with ?coverage, the classes of the conformal set")
    warning: str | None = Field(None, description="texts: says that the model knows no word of it")
    error: str | None = Field(None, description="why the input cannot be used")


class Predictions(BaseModel):
    """The predictions of a request, in the order of its inputs."""

    predictions: list[Prediction] = Field(description="one for each input; some may be errors")


class Shares(BaseModel):
    """The share of each part of the input in the prediction, by attention rollout or sequence pooling."""

    title: str = Field(description="the tokens that enter this layer, or pooling: those that leave the last one")
    shares: list[list[float]] | list[float] = Field(description="images: rows from the top left; texts: of each word")


class Explanation(BaseModel):
    """The prediction of one input, and what the model looked at."""

    input: str = Field(description="name of the file, or the place of the image or text in the request")
    label: str = Field(description="the most probable class")
    probability: float = Field(ge=0, le=1, description="of the label, calibrated")
    unsure: bool = Field(description="whether the probability is low, or there is a warning")
    top: list[Class] = Field(description="all classes, the most probable first")
    warning: str | None = Field(None, description="texts: says that the model knows no word of it")
    image: str | None = Field(None, description="images: the input of the model as a PNG, an address of data:")
    words: list[str] | None = Field(None, description="texts: the words that the model took, with the spaces behind")
    maps: list[Shares] = Field(description="the first one follows the tokens through the whole model")


class Health(BaseModel):
    """The server answers."""

    status: str = Field(description="always ok")


def _refusals(*statuses: int) -> dict[int, dict[str, Any]]:
    return {status: {"model": Error, "description": REFUSALS[status]} for status in statuses}


REFUSALS = {
    400: "The request cannot be understood.",
    408: "The request came too slowly.",
    409: "Nothing shows what this model looked at.",
    413: "The body is too large, or has too many inputs.",
    415: "The body has another media type.",
    422: "None of the inputs can be used.",
    500: "The server failed; its log says why.",
    503: "The server has too much to do. Retry-After says when to ask again.",
    504: "The model took too long.",
}
_FILE = {"type": "string", "format": "binary"}


def _list(name: str, items: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": {
            "type": "object",
            "required": [name],
            "additionalProperties": False,
            "properties": {name: {"type": "array", "items": items}},
        }
    }


# By the word for an input.
BODIES: dict[str, dict[str, Any]] = {
    "image": {
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"images": {"type": "array", "items": _FILE}}}
        },
        "application/json": _list(
            "images",
            {
                "description": "a file in base64, or raw pixels: (h, w), (h, w, 1) or (h, w, 3)",
                "anyOf": [{"type": "string", "format": "byte"}, {"type": "array", "items": {}}],
            },
        ),
        "image/*": {"schema": _FILE},
    },
    "text": {"application/json": _list("texts", {"type": "string"}), "text/plain": {"schema": {"type": "string"}}},
}


def predict(one: str) -> dict[str, Any]:
    """The description of /predict, for inputs that are called so."""
    return {
        "responses": {200: {"model": Predictions}, **_refusals(400, 408, 413, 415, 422, 500, 503, 504)},
        "openapi_extra": {**_body(one), "parameters": openapi_parameters()},
    }


def explain(one: str) -> dict[str, Any]:
    """The description of /explain, for inputs that are called so."""
    return {
        "responses": {200: {"model": Explanation}, **_refusals(400, 408, 409, 413, 415, 422, 500, 503, 504)},
        "openapi_extra": _body(one),
    }


def _body(one: str) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": BODIES[one]}}


HEALTH: dict[str, Any] = {"responses": {200: {"model": Health}}}
MODEL: dict[str, Any] = {"responses": {200: {"description": "The model."}}}
METRICS: dict[str, Any] = {
    "response_class": PlainTextResponse,
    "responses": {200: {"description": "The metrics."}},
}
