"""Only tasks know what an example is: packages around them import no module of images or texts."""

import grimp
import pytest

from cct.models.names import MODELS
from cct.tasks.checks import CHECK_TASKS
from cct.tasks.evaluation import EVALUATION_TASKS
from cct.tasks.figures import FIGURE_TASKS
from cct.tasks.inference import INFERENCE_TASKS
from cct.tasks.preparation import PREPARATION_TASKS
from cct.tasks.training import TRAINING_TASKS

GRAPH = grimp.build_graph("cct", cache_dir=None, exclude_type_checking_imports=True)
# Modules that know what a word is.
WORDS = {
    "cct.words",
    "cct.data.texts",
    "cct.tasks.text_classification",
    "cct.models.build_text",
    "cct.models.text_cost",
    "cct.models.layers.words",
}
TEXTS = {module for module in GRAPH.modules if any(module == word or module.startswith(f"{word}.") for word in WORDS)}


def inside(package: str) -> set[str]:
    return {package} | GRAPH.find_descendants(package)


def test_the_modules_are_there():
    assert {*WORDS} <= GRAPH.modules and len(TEXTS) > 15


@pytest.mark.parametrize("package", ["training", "tracking", "experiments", "runtime", "stages"])
def test_packages_around_tasks_import_no_module_of_texts(package):
    found = {
        (module, imported)
        for module in inside(f"cct.{package}")
        for imported in GRAPH.find_modules_directly_imported_by(module)
        if imported in TEXTS
    }
    assert not found


def test_training_reaches_none_through_others_either():
    for module in inside("cct.training"):
        assert not GRAPH.find_upstream_modules(module) & TEXTS, module


def test_each_table_has_each_task():
    tables = (PREPARATION_TASKS, TRAINING_TASKS, EVALUATION_TASKS, FIGURE_TASKS, INFERENCE_TASKS, CHECK_TASKS, MODELS)
    assert all(table.keys() == MODELS.keys() for table in tables)


@pytest.mark.parametrize("task", ["image_classification", "text_classification"])
def test_tasks_know_nothing_of_each_other(task):
    other = "text" if task.startswith("image") else "image"
    for module in inside(f"cct.tasks.{task}"):
        imported = GRAPH.find_modules_directly_imported_by(module)
        assert not imported & inside(f"cct.tasks.{other}_classification"), module
