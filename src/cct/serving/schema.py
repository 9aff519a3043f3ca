"""What the OpenAPI description says of each route, beyond its function."""

from typing import Any

from pydantic import BaseModel, Field

from cct.serving.queries import openapi_parameters

DESCRIPTION = "Classifies images with a trained model. Every refusal is a JSON object with one sentence as its error."


class Error(BaseModel):
    """A refusal."""

    error: str = Field(description="what happened, and what is allowed")


class Class(BaseModel):
    """A class and its calibrated probability."""

    label: str
    probability: float = Field(ge=0, le=1)


class Prediction(BaseModel):
    """The prediction of an image; or, where it cannot be used, its file and error alone."""

    file: str = Field(description="name of the file, or the place of the image in the request")
    label: str | None = Field(None, description="the most probable class")
    probability: float | None = Field(None, ge=0, le=1, description="of the label, calibrated")
    unsure: bool | None = Field(None, description="whether the probability is low")
    top: list[Class] | None = Field(None, description="the most probable classes, in their order")
    set: list[str] | None = Field(None, description="with ?coverage, the classes of the conformal set")
    error: str | None = Field(None, description="why the image cannot be used")


class Predictions(BaseModel):
    """The predictions of a request, in the order of its images."""

    predictions: list[Prediction]


class HeatMap(BaseModel):
    """The share of each place of the image in the prediction, by attention rollout or sequence pooling."""

    title: str = Field(description="the tokens that enter this layer, or pooling: those that leave the last one")
    shares: list[list[float]] = Field(description="rows of shares, from the top left")


class Explanation(BaseModel):
    """The prediction of one image, and what the model looked at."""

    file: str
    label: str
    probability: float = Field(ge=0, le=1)
    unsure: bool
    top: list[Class]
    image: str = Field(description="the input of the model as a PNG, an address of data:")
    maps: list[HeatMap] = Field(description="the first one follows the tokens through the whole model")


class Health(BaseModel):
    """The server answers."""

    status: str


def _refusals(*statuses: int) -> dict[int, dict[str, Any]]:
    return {status: {"model": Error, "description": REFUSALS[status]} for status in statuses}


REFUSALS = {
    400: "The request cannot be understood.",
    408: "The request came too slowly.",
    409: "The server has no heat map for this model.",
    413: "The body is too large, or has too many images.",
    415: "The body has another media type.",
    422: "None of the images can be used.",
    500: "The server failed; its log says why.",
    503: "The server has too much to do. Retry-After says when to ask again.",
    504: "The model took too long.",
}
_FILE = {"type": "string", "format": "binary"}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"images": {"type": "array", "items": _FILE}}}
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "additionalProperties": False,
                    "properties": {
                        "images": {
                            "type": "array",
                            "items": {
                                "description": "a file in base64, or raw pixels: (h, w), (h, w, 1) or (h, w, 3)",
                                "anyOf": [{"type": "string", "format": "byte"}, {"type": "array", "items": {}}],
                            },
                        }
                    },
                }
            },
            "image/*": {"schema": _FILE},
        },
    }
}
PREDICT: dict[str, Any] = {
    "responses": {200: {"model": Predictions}, **_refusals(400, 408, 413, 415, 422, 500, 503, 504)},
    "openapi_extra": {**_BODY, "parameters": openapi_parameters()},
}
EXPLAIN: dict[str, Any] = {
    "responses": {200: {"model": Explanation}, **_refusals(400, 408, 409, 413, 415, 422, 500, 503, 504)},
    "openapi_extra": _BODY,
}
HEALTH: dict[str, Any] = {"responses": {200: {"model": Health}}}
MODEL: dict[str, Any] = {"responses": {200: {"description": "The model."}}}
METRICS: dict[str, Any] = {"responses": {200: {"description": "The metrics.", "content": {"text/plain": {}}}}}
