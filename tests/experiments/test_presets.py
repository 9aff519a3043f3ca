"""Every preset describes itself, and trains."""

import re

import keras
import numpy as np
import pytest
from clones import DEFAULTS, ROOT
from runs import SEED_SHIFT

from cct.commands.demo import DEMOS
from cct.experiments.presets import preset_names, preset_title, read_preset
from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.cost import model_cost
from cct.models.names import task_of_model
from cct.params import SECTIONS, flatten, load, read_yaml
from cct.runtime.backend import choose_precision
from cct.runtime.machine import cpu_info
from cct.tasks.training import TRAINING_TASKS
from cct.training.batches import Examples
from cct.training.loop import train_model


def test_the_page_of_recipes_lists_every_preset():
    page = (ROOT / "docs/recipes.md").read_text()
    table = page.partition("| preset | recipe |\n")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (`.*?`) \| ", table, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == {*preset_names()}


@pytest.mark.parametrize("name", preset_names())
def test_a_header_says_command_time_and_accuracy(name):
    header = [line for line in (ROOT / f"presets/{name}.yaml").read_text().splitlines() if line.startswith("#")]
    text = "\n".join(header)
    demos = {demo.preset: f"make {demo.target}$" for demo in DEMOS.values()}
    command = demos.get(name, rf"dvc exp run \$\(cct preset {name}\)")
    assert re.search(rf"^#   {command}", text, re.MULTILINE)
    assert re.search(r"\d(\.\d+)? %", text) and re.search(r"second|minute|hour|GPU", text) and "XX" not in text
    assert len(preset_title(name)) < 110  # a line of `cct preset`


@pytest.mark.parametrize("name", preset_names())
def test_nothing_of_an_earlier_recipe_is_left(name):
    """`dvc exp run -S` leaves its values in params.yaml, where the next preset meets them."""
    said = read_preset(name)
    idle = {"train.seed"}
    if not said["augment.mixup_alpha"] and not said["augment.cutmix_alpha"]:
        idle |= {"augment.mix_prob", "augment.mix_switch_prob", "augment.mix_epochs"}
    if said["train.schedule"] != "step":
        idle |= {"train.step_epochs", "train.step_factor"}
    recipe = {path for path in flatten(read_yaml(DEFAULTS)) if path.startswith(("model", "augment", "train"))}
    assert (
        recipe | {"runtime.precision"}
        == {path for path in said if not path.startswith(("data.", "preprocess."))} | idle
    )


def image_data(name):
    side = {"photos_64": 64, "photos_128": 128}.get(name, 16)
    meta = {"image_shape": [side, side, 3], "classes": list("abcd"), "mean": [0.5] * 3, "std": [0.25] * 3}
    return meta, np.random.default_rng(0).integers(0, 256, (40, side, side, 3), dtype=np.uint8)


def text_data(name):
    meta = {"tokens": "words", "max_length": 16, "vocabulary": [], "vocabulary_size": 30, "classes": list("abcd")}
    return meta, np.random.default_rng(0).integers(0, 30, (40, 16), dtype=np.int32)


# Each has nothing that another one lacks: make test-exports trains them too.
LIKE_ANOTHER = {"paper_200", "paper_300", "photos_128", "quick"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.exports) if name in LIKE_ANOTHER else name for name in preset_names()],
)
def test_it_trains(name):
    """As it says, but for its length and the number of layers."""
    sections = load(DEFAULTS)
    for section, values in read_yaml(ROOT / f"presets/{name}.yaml").items():
        sections[section] = type(sections[section]).model_validate(sections[section].model_dump() | values)
    assert sections.keys() == SECTIONS.keys()
    short = {"epochs": 2, "warmup_epochs": min(sections["train"].warmup_epochs or 0.5, 0.5), "cooldown_epochs": 0}
    config = sections["train"].model_copy(update={**short, "batch_size": 16, "seed": SEED_SHIFT})
    model_params = sections["model"].model_copy(update={"num_layers": 1})
    task = TRAINING_TASKS[task_of_model(model_params.name)]
    meta, inputs = (text_data if "text" in name else image_data)(name)
    task.check(model_params, sections["augment"], meta)
    examples = Examples(inputs, np.arange(40) % 4)
    keras.utils.set_random_seed(SEED_SHIFT)
    precision = choose_precision(sections["runtime"].precision, cpu_flags=cpu_info()["flags"], gpu=False)
    keras.config.set_dtype_policy(precision)
    try:
        network = task.build(model_params, meta, ROOT)
        before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in network.trainable_variables]
        history = train_model(
            network,
            examples,
            examples,
            config=config,
            transform_of=task.transforms(examples, sections["augment"], config.seed),
            jit_compile=False,
        )
    finally:
        keras.config.set_dtype_policy("float32")
    assert len(history) == 2 and all(np.isfinite(row["train_loss"]) for row in history)
    for variable, old in zip(network.trainable_variables, before, strict=True):
        assert (keras.ops.convert_to_numpy(variable) != old).any(), variable.path


@pytest.mark.parametrize(("name", "side"), [("photos_64", 64), ("photos_128", 128)])
def test_photos_have_the_tokens_that_the_header_says(name, side):
    assert f"Photos of {side}x{side} " in preset_title(name)
    params = ModelParams.model_validate(read_yaml(ROOT / f"presets/{name}.yaml")["model"])
    cost = model_cost(resolve_architecture(params), height=side, width=side, channels=3, classes=10)
    assert cost.tokens == 64
