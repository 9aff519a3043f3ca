"""What depends on the kind of example: images today, text later. The data's `meta.json` names the task.

A task is a folder here and an entry in three tables: `training` (its model, and what changes a batch), `evaluation`
(what a prediction costs) and `figures` (what is drawn of its examples). The tables are apart so that a change of a
figure does not train anything again. Nothing outside of the tasks' folders knows what an example is.
"""
