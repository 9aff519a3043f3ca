"""Draw the figures."""

import functools
import logging
from typing import TYPE_CHECKING

from cct import params
from cct.data.store import read_meta, read_split, read_texts
from cct.evaluation.examples import read_relevance
from cct.evaluation.figures.registry import FIGURES, FigureInputs
from cct.evaluation.figures.style import save_figure, warn_of_missing_fonts
from cct.evaluation.per_class import read_per_class
from cct.evaluation.predictions import read_predictions
from cct.evaluation.reports import read_metrics
from cct.paths import ATTENTION, HISTORY, METRICS, PARAMS, PER_CLASS, PREDICTIONS, PROCESSED
from cct.paths import FIGURES as FOLDER
from cct.tasks.figures import FIGURE_TASKS
from cct.tasks.lookup import task_of
from cct.training.history import read_history

if TYPE_CHECKING:
    from cct.tracking.base import Tracker

log = logging.getLogger(__name__)


def main(tracker: "Tracker") -> None:
    augment, plot = params.load(PARAMS, "augment", "plot")
    meta, summary = read_meta(PROCESSED), read_metrics(METRICS)
    given = FigureInputs(
        meta=meta,
        history=read_history(HISTORY),
        summary=summary,
        per_class=read_per_class(PER_CLASS),
        predictions=read_predictions(PREDICTIONS),
        relevance=read_relevance(ATTENTION),
        read_split=functools.partial(read_split, PROCESSED),
        read_texts=functools.partial(read_texts, PROCESSED),
        augment=augment,
        plot=plot,
    )
    figures = FIGURES | task_of(meta, FIGURE_TASKS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, draw in figures.items():
        save_figure(draw(given), FOLDER / f"{name}.png", plot.dpi)
    warn_of_missing_fonts(given.predictions.class_names)
    log.info("%d figures in %s", len(figures), FOLDER)
    tracker.start("plot", meta, model_sha256=summary["model"]["sha256"])
    tracker.log_artifact(FOLDER, "figures")
