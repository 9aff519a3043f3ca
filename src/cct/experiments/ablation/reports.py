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


def write_reports(summary: Mapping[str, Any], title: str) -> None:
    """Write table, figure and numbers into `reports/ablation/`."""
    for suffix, text in (("json", json.dumps(summary, indent=2)), ("md", ablation_table(summary))):
        write_atomically(FOLDER / f"{title}.{suffix}", f"{text.rstrip()}\n".encode())
    if summary["changes"]:
        save_figure(plot_ablation(summary), FOLDER / f"{title}.png", dpi=100)
