"""The schema of `runtime` in `params.yaml`."""

from typing import Literal

from pydantic import Field

from cct.params import Section


class RuntimeParams(Section):
    """Where and how the numbers are computed."""

    backend: Literal["tensorflow", "jax", "torch"] = Field(description="library that Keras computes with")
    device: Literal["auto", "cpu", "gpu"] = Field(
        description="auto: a GPU if the backend sees one; gpu: fail without one"
    )
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        description="mixed: 16-bit arithmetic with 32-bit weights; auto: mixed_bfloat16 where GPU or CPU computes in it"
    )
    deterministic: bool = Field(description="true: equal runs give equal bytes; false may be faster")
    threads: int | None = Field(ge=1, le=1024, description="CPU threads; null: one for each core")


CPU_DEFAULTS = RuntimeParams(backend="tensorflow", device="cpu", precision="float32", deterministic=True, threads=None)
