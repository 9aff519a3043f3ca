"""The layers of a model, each alone, for `step_profile.py`."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

# What imports Keras is imported in functions: `contender.build` first sets what TensorFlow reads at import.


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
    from cct.models.layers.fast import pool_relu

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
    from cct.models.layers.fast import convolve_flipped

    return lambda x: convolve_flipped(x, convolution.kernel)


def _training(layer: Any) -> Callable[[Any], Any]:
    return lambda x: layer(x, training=True)


def _mlp(block: Any) -> Callable[[Any], Any]:
    from cct.models.layers.fast import gelu

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
