"""The input of a logged model, by task. To add a task, write its function and an entry in `INFERENCE_TASKS`."""

from cct.tasks.image_classification import inference as images

INFERENCE_TASKS = {"image_classification": images.describe_input}
