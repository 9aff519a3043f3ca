"""SavedModel folders, for TensorFlow Serving and everything else that runs TensorFlow: Keras's exporter."""

from cct.inference.exported import FACTS, LABELS
from cct.inference.exporters.base import ExportJob
from cct.inference.runtimes.saved_model import EXTRA
from cct.runtime.backend import quiet_library


def export_saved_model(job: ExportJob) -> None:
    """Write a SavedModel. Class names and facts are in its folder `assets.extra`."""
    with quiet_library():
        job.model.export(job.out, format="tf_saved_model", verbose=False)
    extra = job.out / EXTRA
    extra.mkdir()
    (extra / LABELS).write_text("\n".join(job.facts.model.classes) + "\n", encoding="utf-8")
    (extra / FACTS).write_text(job.facts.model_dump_json(exclude_none=True), encoding="utf-8")
