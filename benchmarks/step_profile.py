"""Times a training step and its parts on the machine at hand, on TensorFlow: `make profile`.

    python benchmarks/step_profile.py [--model cct_2_3x2] [--batch 128] [--turns 15]

The whole step is timed as users run it, by `fit`, and then piece by piece: its forward pass, its backward pass, its
random numbers, its optimizer, and Keras's work around it. Then each layer is timed alone, forward and backward, with
inputs of the step's shapes (`step_parts.py`). The sum of the layers and the time that the arithmetic takes at the rate
of a matrix product are the limits that a step is compared with. Turns alternate between all pieces, `fit` included.
Each figure is a median. The cost of random numbers is that of drawing them: the step is compared with one that has the
same masks of dropout at each call.

The file has the results of each kind of machine; those of other kinds stay.
"""

import argparse
import functools
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import contender
import numpy as np
from common import HERE, PRECISIONS, here, read_machines, write
from step_parts import parts, timed_part

from cct.commands.arguments import whole_number
from cct.entry import entry_point
from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.cost import model_cost
from cct.models.names import CUSTOM, IMAGES, MODELS

# What imports Keras is imported in functions: `contender.build` first sets what TensorFlow reads at import.
WARMUP, FIT_STEPS, FIT_WARMUP = 3, 2, 2  # turns that do not count; steps of `fit` in a turn, and before them
SIDE, CHANNELS, CLASSES = 32, 3, 10


def timed_step(network: Any, images: np.ndarray, targets: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Calls that compute a whole step and pieces of it."""
    import tensorflow as tf

    data = iter(tf.data.Dataset.from_tensors((images, targets)).repeat())
    network.optimizer.build(network.trainable_variables)
    network.make_train_function()

    @tf.function
    def forward():
        return network.loss(targets, network(images, training=True))

    some = [tf.zeros_like(variable.value) for variable in network.trainable_variables]

    @tf.function
    def update():
        network.optimizer.apply(some, network.trainable_variables)

    return {
        "step": lambda: network.train_function(data),
        "forward": forward,
        "forward and backward": gradients_of(network, images, targets),
        "without random numbers": with_fixed_masks(gradients_of(network, images, targets)),
        "optimizer": update,
    }


def gradients_of(network: Any, images: np.ndarray, targets: np.ndarray) -> Callable[[], Any]:
    """A TensorFlow function of the gradients of all trained weights."""
    import tensorflow as tf

    variables = [variable.value for variable in network.trainable_variables]

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = network.loss(targets, network(images, training=True))
        return tape.gradient(loss, variables)

    return gradients


def with_fixed_masks(function: Callable[[], Any]) -> Callable[[], Any]:
    """A TensorFlow function after its first call, which makes its graph: with fixed masks in place of random ones.

    All else is as with random numbers, dropout's own operations included. Rates of 0 would choose other code.
    """
    import keras
    import tensorflow as tf

    from cct.models.layers import fast

    random_keep, uniform = fast.random_keep, keras.random.uniform

    # The masks are computed outside of the graph, which takes them as inputs. TensorFlow would fold constants.
    def fixed_keep(shape: Any, rate: float, seed: Any) -> tuple[Any, float]:
        static = tf.get_static_value(shape)
        with tf.init_scope():
            return random_keep(static, rate, [0, 0])

    def fixed_uniform(shape: Any, *, dtype: str, seed: Any) -> Any:
        with tf.init_scope():
            return uniform(shape, dtype=dtype, seed=0)

    with mock.patch.object(fast, "random_keep", fixed_keep), mock.patch.object(keras.random, "uniform", fixed_uniform):
        function()
    return function


def milliseconds(call: Callable[[], Any]) -> float:
    """Milliseconds of a call, until the device has computed it. Its results stay there."""
    import tensorflow as tf

    start = time.perf_counter()
    call()
    tf.test.experimental.sync_devices()
    return 1000 * (time.perf_counter() - start)


def fit_step(network: Any, images: np.ndarray, targets: np.ndarray) -> float:
    """Milliseconds of a step of `fit`."""
    times = contender.fit(network, contender.again((images, targets)), FIT_STEPS, warmup=FIT_WARMUP)
    return 1000 * statistics.median(times)


def medians(measures: dict[str, Callable[[], float]], turns: int) -> dict[str, float]:
    """The median of each measure over the turns, in each of which all are taken."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(-WARMUP, turns):
        for name, measure in measures.items():
            value = measure()
            if turn >= 0:
                found[name].append(value)
    return {name: round(statistics.median(values), 2) for name, values in found.items()}


def measure(name: str, precision: str, batch: int, turns: int) -> dict[str, Any]:
    """The profile of one precision, in a process of its own."""
    network = contender.build("ours-tensorflow", name, precision)
    images, labels = contender.random_images(batch)
    targets = np.eye(CLASSES, dtype="float32")[labels]
    calls = timed_step(network, images, targets)
    found = list(parts(network))
    calls |= {f"part {place}": timed_part(part, batch) for place, part in enumerate(found)}
    measures = {title: functools.partial(milliseconds, call) for title, call in calls.items()}
    spent = medians({"fit": functools.partial(fit_step, network, images, targets)} | measures, turns)
    gflop, times = contender.matmul_rate(precision)
    cost = model_cost(
        resolve_architecture(ModelParams(name=name)), height=SIDE, width=SIDE, channels=CHANNELS, classes=CLASSES
    )
    alone: dict[str, float] = {}
    for place, part in enumerate(found):
        alone[part.title] = round(alone.get(part.title, 0.0) + spent[f"part {place}"], 2)
    rate, work = gflop / statistics.median(times), 6 * batch * (cost.macs + cost.attention_macs) / 1e9
    return {
        "fit": spent["fit"],
        "step": spent["step"],
        "pieces": {
            "forward pass": spent["forward"],
            "backward pass": round(spent["forward and backward"] - spent["forward"], 2),
            "of these, random numbers": round(spent["forward and backward"] - spent["without random numbers"], 2),
            "optimizer": spent["optimizer"],
            "Keras's work around a step, in `fit`": round(spent["fit"] - spent["step"], 2),
        },
        "parts": alone,
        "sum": round(sum(alone.values()), 2),
        "gflop": round(work, 1),
        "matmul_gflops": round(rate),
        "arithmetic": round(1000 * work / rate, 1),
    }


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [name for name in MODELS[IMAGES] if name not in CUSTOM]
    parser.add_argument("--model", choices=names, metavar="NAME", default="cct_2_3x2")
    parser.add_argument("--batch", type=whole_number(65536), default=128)
    parser.add_argument("--turns", type=whole_number(1000), default=15)
    parser.add_argument("--out", type=Path, default=HERE / "results/profile.json")
    arguments = parser.parse_args()
    machine = here()
    content = read_machines(arguments.out, "profile")
    found = {}
    for precision in PRECISIONS:  # Keras has one precision in a process
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            job = pool.submit(measure, arguments.model, precision, arguments.batch, arguments.turns)
            found[precision] = job.result()
        print_profile(precision, found[precision])
    content["machines"][machine["cpu"]] = machine | {
        "model": arguments.model,
        "batch": arguments.batch,
        "turns": arguments.turns,
        "versions": {package: version(package) for package in ("tensorflow", "keras", "numpy")},
        "precisions": found,
    }
    write(arguments.out, content)


def print_profile(precision: str, found: dict[str, Any]) -> None:
    print(f"\n{precision}: a step takes {found['fit']:.1f} ms by fit")
    for name in ("pieces", "parts"):
        for title, milliseconds in found[name].items():
            print(f"  {title:40} {milliseconds:8.1f} ms")
    print(f"  {'sum of the parts':40} {found['sum']:8.1f} ms")
    title = f"{found['gflop']} GFLOP at {found['matmul_gflops']} GFLOP/s"
    print(f"  {title:40} {found['arithmetic']:8.1f} ms")


if __name__ == "__main__":
    sys.exit(main())
