"""The function for preprocessing, by task: it returns the fields of meta.json about the inputs.

To add a task, write its function and an entry in `PREPARATION_TASKS`.
"""

from cct.tasks.image_classification import preparation as images

PREPARATION_TASKS = {"image_classification": images.describe}
