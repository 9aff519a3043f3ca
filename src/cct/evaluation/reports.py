"""`reports/metrics.json`: the results of a run."""

import json
from pathlib import Path
from typing import Any

from cct.tables import TableError


def read_metrics(path: Path) -> dict[str, Any]:
    """Read `metrics.json`, as `evaluate` wrote it.

    Raises:
        TableError: the file is absent or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(f"cannot read {path} ({error}): run dvc repro evaluate") from error
