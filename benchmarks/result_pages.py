"""Makes the tables and figures of README and docs from `benchmarks/results/*.json`, for `make results`.

    python benchmarks/result_pages.py [--check]

`record.py` and `record_gpu.py` write accuracies. Older ones were written by hand, and their notes say so. `speed.py`
writes `speed.json`, `step_profile.py` writes `profile.json`, `fine_tuning.py` writes `fine_tuning.json`, `serving.py`
writes `serving.json`, `inference.py` writes `inference.json`, `text.py` writes `trec.json`, `text_steps.py` writes
`text_steps.json`, `growth.py` writes `growth.json`, `startup.py` writes `startup.json`, `scale.py` writes `scale.json`,
and `record_gpu.py` writes `gpu.json`. `ablation.json` is a copy of the file that `make ablate` leaves in
`reports/ablation/`.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common import HERE, ROOT, read_json
from result_figures import plot_minutes, plot_results
from result_files import commands, markdown, read
from result_tables import augmentation, fine_tuning, gpu, growth, inference, profile, scale, serving, startup, steps
from result_text_tables import text_ablation, text_steps, texts

from cct.entry import entry_point
from cct.errors import CCTError
from cct.evaluation.figures.style import save_figure
from cct.experiments.ablation.figure import plot_ablation
from cct.experiments.ablation.table import ablation_table
from cct.markers import fill_markers

RESULTS = HERE / "results"
IMAGES = ROOT / "docs/images"
# The tables of each page, by the names in its markers.
PAGES = {
    "README.md": ("results",),
    "docs/results.md": ("results", "commands"),
    "docs/ablation.md": ("ablation",),
    "docs/speed.md": ("steps", "profile", "growth", "startup", "augmentation"),
    "docs/data.md": ("scale",),
    "docs/gpu.md": ("gpu",),
    "docs/fine-tuning.md": ("fine-tuning",),
    "docs/serve.md": ("serving",),
    "docs/export.md": ("inference",),
    "docs/text.md": ("texts", "text-ablation", "text-steps"),
}
# The tables of one file each, by their names.
TABLES: dict[str, tuple[Callable[[Mapping[str, Any]], str], str]] = {
    "steps": (steps, "speed.json"),
    "profile": (profile, "profile.json"),
    "startup": (startup, "startup.json"),
    "growth": (growth, "growth.json"),
    "augmentation": (augmentation, "speed.json"),
    "gpu": (gpu, "gpu.json"),
    "serving": (serving, "serving.json"),
    "inference": (inference, "inference.json"),
    "texts": (texts, "trec.json"),
    "text-ablation": (text_ablation, "trec.json"),
    "text-steps": (text_steps, "text_steps.json"),
    "scale": (scale, "scale.json"),
    "fine-tuning": (fine_tuning, "fine_tuning.json"),
}
DRAWN = "CIFAR-10, JPEG copy"  # the data set in the figure of results


def all_tables(folder: Path) -> dict[str, str]:
    """Every table by its name.

    Raises:
        CCTError: a file is not valid.
    """
    _, _, compared = ablation_table(read_json(folder / "ablation.json")).partition("\n\n")  # without its heading
    results = read(folder)
    return {
        "results": markdown(results, read_json(folder / "trec.json")),
        "commands": commands(results),
        "ablation": compared.rstrip(),
        **{name: table(read_json(folder / file)) for name, (table, file) in TABLES.items()},
    }


def pages(folder: Path) -> dict[Path, str]:
    """The text of each page with its tables."""
    made = all_tables(folder)
    return {
        ROOT / path: fill_markers(ROOT / path, {name: made[name] for name in names}) for path, names in PAGES.items()
    }


@entry_point
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a table is not up to date")
    arguments = parser.parse_args()
    made = pages(RESULTS)
    if arguments.check:
        stale = [str(path.relative_to(ROOT)) for path, text in made.items() if path.read_text("utf-8") != text]
        if stale:
            raise CCTError(f"the tables in {', '.join(stale)} are not up to date: run make results")
        return 0
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    drawn = [result for result in read(RESULTS) if result.data.title == DRAWN]
    save_figure(plot_results(drawn), IMAGES / "results.png", dpi=100)
    save_figure(plot_minutes(drawn), IMAGES / "minutes.png", dpi=100)
    save_figure(plot_ablation(read_json(RESULTS / "ablation.json")), IMAGES / "ablation.png", dpi=100)
    return 0


if __name__ == "__main__":
    sys.exit(main())
