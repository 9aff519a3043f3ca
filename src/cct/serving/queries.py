"""The options of an address, behind its question mark.

FastAPI's own check costs a tenth of a request, even without options.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from cct.evaluation.conformal import percent_of
from cct.serving.refusals import Refusal

MOST_TOP = 1000
Coverage = Annotated[float, AfterValidator(lambda value: percent_of(value) / 100)]


class PredictQuery(BaseModel):
    """The options of a prediction."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    top: int = Field(5, ge=1, le=MOST_TOP, description="how many classes to list, the most probable first")
    coverage: Coverage | None = Field(None, description="add the set of classes that holds the true one so often: 0.95")


DEFAULT = PredictQuery()


def parse_query(request: Request) -> PredictQuery:
    """The options of a prediction.

    Raises:
        Refusal: an option is unknown or repeated, or its value is not allowed.
    """
    if not request.scope["query_string"]:
        return DEFAULT
    try:
        return PredictQuery.model_validate(_options(request))
    except ValidationError as error:
        names = ", ".join(sorted({str(one["loc"][0])[:80] for one in error.errors()}))
        allowed = (
            f"top is a whole number from 1 to {MOST_TOP:,}, coverage is 0.01, 0.02, ... 0.99, and there are no others"
        )
        raise Refusal(400, f"in the address, {names} is wrong: {allowed}") from error


def refuse_options(request: Request) -> None:
    """For an address without options.

    Raises:
        Refusal: the request has one.
    """
    if request.scope["query_string"] and (options := _options(request)):
        path = request.scope["path"]
        raise Refusal(400, f"in the address, {', '.join(options)[:80]} is wrong: {path} has no options")


def _options(request: Request) -> dict[str, str]:
    """The values by their names.

    Raises:
        Refusal: a name is there twice.
    """
    options: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in options:
            raise Refusal(400, f"in the address, {name[:80]} is there twice")
        options[name] = value
    return options


def openapi_parameters() -> list[dict[str, Any]]:
    """The options as OpenAPI describes them."""
    properties = PredictQuery.model_json_schema()["properties"]
    return [
        {"name": name, "in": "query", "required": False, "description": schema.pop("description"), "schema": schema}
        for name, schema in properties.items()
    ]
