"""The schema of `plot` in `params.yaml`."""

from typing import ClassVar

from pydantic import Field

from cct.params import Section


class PlotParams(Section):
    """How figures are drawn."""

    renamed: ClassVar[dict[str, str]] = {"mistakes": "top_errors"}

    dpi: int = Field(ge=50, le=600, description="pixels per inch; 100 makes figures 800 pixels wide")
    top_errors: int = Field(ge=1, le=100, description="number of most confident errors in their figure")
