"""The files of an ablation in `reports/ablation/`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cct.evaluation.figures.style import save_figure
from cct.experiments.ablation.figure import plot_ablation
from cct.experiments.ablation.table import ablation_table
from cct.files import write_atomically

FOLDER = Path("reports/ablation")


def write_reports(summary: Mapping[str, Any], title: str) -> list[Path]:
    """Write table, figure and numbers into `reports/ablation/`. Without a finished change there is no figure.

    Returns:
        The paths of the files.
    """
    paths = {suffix: FOLDER / f"{title}.{suffix}" for suffix in ("md", "png", "json")}
    for suffix, text in (("json", json.dumps(summary, indent=2)), ("md", ablation_table(summary))):
        write_atomically(paths[suffix], f"{text.rstrip()}\n".encode())
    if summary["changes"]:
        save_figure(plot_ablation(summary), paths["png"], dpi=100)
    else:
        paths.pop("png").unlink(missing_ok=True)  # of an earlier table
    return list(paths.values())
