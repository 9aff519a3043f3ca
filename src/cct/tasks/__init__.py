"""What depends on the kind of example: images today, text later. The data's `meta.json` names the task.

A task is a folder here and an entry in five tables: `preparation` (what meta.json says of its inputs), `training` (its
model, and what changes a batch), `evaluation` (what a prediction costs), `figures` (what is drawn of its examples) and
`inference` (what a logged model takes). The tables are apart, so that a change of a figure trains nothing again.
Nothing outside of the tasks' folders knows what an example is.
"""
