"""Times the parts of a training step on the machine at hand, on TensorFlow: `make profile`.

    python benchmarks/step_profile.py [--model cct_2_3x2] [--batch 128] [--turns 15]

The whole step is timed as users run it, by `fit`, and then piece by piece: its forward pass, its backward pass, its
random numbers, its optimizer, and Keras's work around it. Then each layer is timed alone, forward and backward, with
inputs of the step's shapes. The sum of the layers and the time that the arithmetic takes at the rate of a matrix
product are the limits that a step is compared with. Turns alternate between all pieces. Each figure is a median.

The file has the results of each kind of machine; those of other kinds stay.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import contender
import numpy as np
from speed import PRECISIONS, here, read_machines, write

from cct.entry import entry_point
from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.cost import model_cost
from cct.models.layers.fast import convolve_flipped, gelu, pool_relu

WARMUP = 3
SIDE, CHANNELS, CLASSES = 32, 3, 10
NO_RANDOM = {"dropout": 0.0, "attention_dropout": 0.0, "stochastic_depth": 0.0}


class Part(NamedTuple):
    """A layer alone.

    Attributes:
        title: what it is called in the table; equal titles are added up.
        function: from its inputs to its output, as in training.
        shapes: of the inputs, without the batch.
        layers: those with the weights whose gradients the step computes.
        backward: whether the step computes the gradients of the inputs.
    """

    title: str
    function: Callable[..., Any]
    shapes: list[tuple[int, ...]]
    layers: list[Any]
    backward: bool = True


def parts(network: Any) -> Iterator[Part]:
    """The layers of a model of images."""
    tokenizer = network.get_layer("tokenizer")
    image, tokens = tuple(network.input_shape[1:]), tuple(network.get_layer("encoder_0").input.shape[1:])
    yield Part("standardization", network.get_layer("standardize"), [image], [], backward=False)
    if not hasattr(tokenizer, "convolutions"):
        yield Part("patches", tokenizer, [image], [tokenizer], backward=False)
    elif tokenizer.in_few_passes:
        yield from _block_parts(tokenizer, image)
    else:  # Keras's layers with padding between them: the layer itself is the only function with these shapes
        yield Part("convolutions, pooling and ReLU", _training(tokenizer), [image], [tokenizer], backward=False)
    for layer in network.layers:
        if layer.name == "positional_embedding":
            yield Part("positions", layer, [tokens], [layer])
        elif layer.name.startswith("encoder_"):
            yield from _encoder_parts(layer, tokens)
        elif layer.name == "norm":
            yield Part("layer norms", _training(layer), [tokens], [layer])
        elif layer.name == "pool":
            yield Part("pooling of tokens and head", layer, [tokens], [layer])
        elif layer.name == "head":
            yield Part("pooling of tokens and head", layer, [tokens[1:]], [layer])


def _block_parts(tokenizer: Any, image: tuple[int, ...]) -> Iterator[Part]:
    """The operations of `convolve_relu_pool`."""
    shape = image
    for number, convolution in enumerate(tokenizer.convolutions, start=1):
        yield Part(f"convolution {number}", _convolve(convolution), [shape], [convolution], backward=number > 1)
        shape = (*shape[:2], convolution.filters)
        if number in tokenizer.pool_after:
            yield Part(f"pooling and ReLU {number}", pool_relu, [shape], [])
            shape = (*((side + 1) // 2 for side in shape[:2]), convolution.filters)
        else:
            yield Part(f"ReLU {number}", _relu, [shape], [])
        if tokenizer.norms:
            norm = tokenizer.norms[number - 1]
            yield Part(f"batch norm {number}", _training(norm), [shape], [norm])


def _relu(x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.relu(x)


def _encoder_parts(block: Any, tokens: tuple[int, ...]) -> Iterator[Part]:
    attention, (n, d) = block.attention, tokens
    inner, heads = attention.num_heads * attention.head_dim, (n, attention.num_heads, attention.head_dim)
    for norm in (block.norm_1, block.norm_2):
        yield Part("layer norms", _training(norm), [tokens], [norm])
    if attention.head_dim >= d:
        yield Part("attention, folded", _training(attention), [tokens], [attention])
    else:
        yield Part("attention: queries, keys, values", attention.qkv, [tokens], [attention.qkv])
        yield Part("attention: scores, softmax, mixing", attention.mix, [heads] * 3, [])
        yield Part("attention: projection", attention.projection, [(n, inner)], [attention.projection])
    yield Part("MLP with GELU", _mlp(block), [tokens], [block.dense_1, block.dense_2])


def _convolve(convolution: Any) -> Callable[[Any], Any]:
    return lambda x: convolve_flipped(x, convolution.kernel)


def _training(layer: Any) -> Callable[[Any], Any]:
    return lambda x: layer(x, training=True)


def _mlp(block: Any) -> Callable[[Any], Any]:
    if block.mlp_output == "gelu":
        return lambda x: gelu(block.dense_2(gelu(block.dense_1(x), training=True)), training=True)
    return lambda x: block.dense_2(gelu(block.dense_1(x), training=True))


def timed_part(part: Part, batch: int) -> Callable[[], Any]:
    """A call that computes a part's output and gradients."""
    import keras
    import tensorflow as tf

    dtype = "uint8" if part.title == "standardization" else keras.config.dtype_policy().compute_dtype
    random = np.random.default_rng(0)
    inputs = [tf.cast(random.normal(0, 1, (batch, *shape)), dtype) for shape in part.shapes]
    variables = [weight.value for layer in part.layers for weight in layer.trainable_variables]
    upstream = tf.ones_like(part.function(*inputs))

    @tf.function
    def run(*inputs):
        watched = [*(inputs if part.backward else []), *variables]
        if not watched:
            return part.function(*inputs)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for one in watched:
                tape.watch(one)
            output = part.function(*inputs)
        return tape.gradient(output, watched, output_gradients=upstream)

    return lambda: run(*inputs)


def timed_step(network: Any, images: np.ndarray, targets: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Calls that compute a whole step and pieces of it."""
    import tensorflow as tf

    data = iter(tf.data.Dataset.from_tensors((images, targets)).repeat())
    network.optimizer.build(network.trainable_variables)
    network.make_train_function()
    variables = [variable.value for variable in network.trainable_variables]

    @tf.function
    def forward():
        return network.loss(targets, network(images, training=True))

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = network.loss(targets, network(images, training=True))
        return tape.gradient(loss, variables)

    some = [tf.zeros_like(variable) for variable in variables]

    @tf.function
    def update():
        network.optimizer.apply(some, network.trainable_variables)

    return {
        "step": lambda: network.train_function(data),
        "forward": forward,
        "forward and backward": gradients,
        "optimizer": update,
    }


def medians(calls: dict[str, Callable[[], Any]], turns: int) -> dict[str, float]:
    """Milliseconds of each call, which take turns."""
    import tensorflow as tf

    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(-WARMUP, turns):
        for name, call in calls.items():
            start = time.perf_counter()
            for result in tf.nest.flatten(call()):
                if result is not None:
                    result.numpy()  # waits for the device
            if turn >= 0:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: round(statistics.median(found), 2) for name, found in times.items()}


def measure(name: str, precision: str, batch: int, turns: int) -> dict[str, Any]:
    """The profile of one precision, in a process of its own."""
    network = contender.build("ours-tensorflow", name, precision)
    images, labels = contender.random_images(batch)
    targets = np.eye(CLASSES, dtype="float32")[labels]
    still = contender.build("ours-tensorflow", name, precision, **NO_RANDOM)
    calls = timed_step(network, images, targets)
    calls["without random numbers"] = timed_step(still, images, targets)["forward and backward"]
    found = list(parts(network))
    calls |= {f"part {place}": timed_part(part, batch) for place, part in enumerate(found)}
    spent = medians(calls, turns)
    fit = 1000 * statistics.median(contender.fit(network, contender.again((images, targets)), turns))
    gflop, times = contender.matmul_rate(precision)
    cost = model_cost(
        resolve_architecture(ModelParams(name=name)), height=SIDE, width=SIDE, channels=CHANNELS, classes=CLASSES
    )
    alone: dict[str, float] = {}
    for place, part in enumerate(found):
        alone[part.title] = round(alone.get(part.title, 0.0) + spent[f"part {place}"], 2)
    rate, work = gflop / statistics.median(times), 6 * batch * (cost.macs + cost.attention_macs) / 1e9
    return {
        "fit": round(fit, 2),
        "step": spent["step"],
        "pieces": {
            "forward pass": spent["forward"],
            "backward pass": round(spent["forward and backward"] - spent["forward"], 2),
            "of these, random numbers": round(spent["forward and backward"] - spent["without random numbers"], 2),
            "optimizer": spent["optimizer"],
            "Keras's work around a step, in `fit`": round(fit - spent["step"], 2),
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
    parser.add_argument("--model", default="cct_2_3x2")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/profile.json")
    arguments = parser.parse_args()
    content = read_machines(arguments.out, "profile")
    found = {}
    for precision in PRECISIONS:  # Keras has one precision in a process
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            job = pool.submit(measure, arguments.model, precision, arguments.batch, arguments.turns)
            found[precision] = job.result()
        print_profile(precision, found[precision])
    content["machines"][here()["cpu"]] = {
        "model": arguments.model,
        "batch": arguments.batch,
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
