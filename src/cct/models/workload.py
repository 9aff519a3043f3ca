"""The work of models of any task, for comparisons."""

from collections.abc import Callable, Mapping
from typing import Any

from cct.models.architectures import ModelError, ModelParams, resolve_architecture, resolve_text_architecture
from cct.models.cost import Cost, model_cost
from cct.models.names import IMAGES, TEXTS, task_of_model
from cct.models.text_cost import text_cost

# By task: the cost of a usual example.
COSTS: dict[str, Callable[[ModelParams], Cost]] = {
    IMAGES: lambda params: model_cost(resolve_architecture(params), height=32, width=32, channels=3, classes=10),
    TEXTS: lambda params: text_cost(resolve_text_architecture(params), length=64, classes=4),
}


def workload(model: Mapping[str, Any]) -> float:
    """Multiply-adds of one example, for comparisons between models of a task.

    Args:
        model: the values of the `model` section.

    Returns:
        Multiply-adds for an image of 32x32x3 or a text of 64 words, or 1.0 if the model cannot take it.
    """
    params = ModelParams.model_validate(dict(model))
    try:
        spent = COSTS[task_of_model(params.name)](params)
    except ModelError:
        return 1.0
    return float(spent.macs + spent.attention_macs)
