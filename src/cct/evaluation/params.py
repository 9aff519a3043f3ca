"""The schema of `evaluate` in `params.yaml`."""

from typing import ClassVar

from pydantic import Field

from cct.params import Section


class EvaluateParams(Section):
    """`evaluate` in `params.yaml`."""

    renamed: ClassVar[dict[str, str]] = {"confidence": "confidence_level"}

    batch_size: int = Field(
        ge=1, le=65536, description="examples at a time, 1 to 65,536; it changes speed and memory, not the results"
    )
    confidence_level: float = Field(
        gt=0, le=0.9999, description="level of the accuracy's interval, above 0, at most 0.9999"
    )
