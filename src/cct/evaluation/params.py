"""The schema of `evaluate` in `params.yaml`."""

from typing import ClassVar

from pydantic import Field, field_validator

from cct.evaluation.conformal import percent_of
from cct.params import Section


class EvaluateParams(Section):
    """How the test split is measured."""

    renamed: ClassVar[dict[str, str]] = {"confidence": "confidence_level"}

    batch_size: int = Field(ge=1, le=65536, description="examples at a time; changes speed and memory, not the results")
    confidence_level: float = Field(gt=0, le=0.9999, description="confidence level of the accuracy's interval")
    coverage: float = Field(
        gt=0,
        lt=1,
        description="share of prediction sets that should hold the true class, a whole percent",
    )

    @field_validator("coverage")
    @classmethod
    def _is_whole_percent(cls, value: float) -> float:
        return percent_of(value) / 100
