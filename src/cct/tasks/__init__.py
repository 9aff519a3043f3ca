"""Code that depends on the kind of example: images or texts. The data's `meta.json` names the task.

A task is a folder here and an entry in six tables:

    preparation    the fields of meta.json about its inputs
    training       its model, and the transform of its batches
    evaluation     the cost of a prediction
    figures        the figures of its examples
    inference      the inputs of a trained model, and how what it looked at is shown
    checks         parameters that do not fit it

`cct.models.names` and `.workload` know its models, and `cct.serving.kinds` what its server takes. The tables are
separate, so that a change of a figure does not repeat a training. Code outside the tasks' folders does not depend on
the kind of example.
"""
