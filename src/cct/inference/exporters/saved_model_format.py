"""SavedModel folders, for TensorFlow Serving and everything else that runs TensorFlow: Keras's exporter."""

import shutil
import tempfile
from pathlib import Path

from cct.files import require_file_or_folder
from cct.inference.exported import FACTS, LABELS
from cct.inference.exporters.base import ExportError, ExportJob
from cct.inference.runtimes.saved_model import EXTRA, GRAPH
from cct.runtime.backend import quiet_library


def export_saved_model(job: ExportJob) -> None:
    """Write a SavedModel. Class names and facts are in its folder `assets.extra`.

    Raises:
        ExportError: something else than a SavedModel is in its place.
    """
    require_file_or_folder(job.out)
    if job.out.exists() and not (job.out / GRAPH).is_file():
        raise ExportError(f"{job.out} is there, and no SavedModel: move it away, or give another --out")
    job.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".cct-export-", dir=job.out.parent) as folder:
        new = Path(folder, "new")
        with quiet_library():
            job.model.export(new, format="tf_saved_model", verbose=False)
        (new / EXTRA).mkdir()
        (new / EXTRA / LABELS).write_text("\n".join(job.facts.model.classes) + "\n", encoding="utf-8")
        (new / EXTRA / FACTS).write_text(job.facts.model_dump_json(exclude_none=True), encoding="utf-8")
        if job.out.exists():
            job.out.rename(Path(folder, "old"))
        shutil.move(new, job.out)
