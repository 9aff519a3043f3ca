"""The schema of `plot` in `params.yaml`."""

from typing import ClassVar

from pydantic import Field

from cct.params import Section


class PlotParams(Section):
    """`plot` in `params.yaml`."""

    renamed: ClassVar[dict[str, str]] = {"mistakes": "top_errors"}

    dpi: int = Field(ge=50, le=600, description="pixels per inch of the figures, 50 to 600; 100 makes them 800 wide")
    top_errors: int = Field(ge=1, le=100, description="how many of the most confident errors are shown, 1 to 100")
