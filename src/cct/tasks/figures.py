"""The figures that show a task's examples. To add a task, write its table and an entry in `FIGURE_TASKS`."""

from cct.tasks.image_classification import figures as images
from cct.tasks.text_classification import figures as texts

FIGURE_TASKS = {"image_classification": images.FIGURES, "text_classification": texts.FIGURES}
