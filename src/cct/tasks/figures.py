"""The figures that show a task's examples. To add a task, write its table and an entry in `FIGURE_TASKS`."""

from cct.tasks.image_classification import figures as images

FIGURE_TASKS = {"image_classification": images.FIGURES}
