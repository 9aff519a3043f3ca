"""What a model looked at: the weights of sequence pooling, and attention rollout."""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from cct.models.architectures import ModelError
from cct.models.layers.encoder import EncoderBlock
from cct.models.layers.equivariant import BothViews
from cct.models.layers.tokens import FirstToken, SequencePool

WEIGHTS_AT_ONCE = 1 << 25  # attention weights of a batch in memory: 128 MiB of float32


class AttentionMaps(NamedTuple):
    """The share of each of n tokens in the output of a model, for b inputs. Each row sums to one.

    Attributes:
        rollout_bln: of the tokens that enter each of the l layers, (b, l, n), float32. The first layer's tokens are
            those of the tokenizer.
        pooling_bn: of the tokens that leave the last layer, (b, n). None if no sequence pooling weighs them.
    """

    rollout_bln: np.ndarray
    pooling_bn: np.ndarray | None


def attention_maps(model: keras.Model, inputs: np.ndarray) -> AttentionMaps:
    """Attention rollout from the output back to the tokens.

    A layer mixes the tokens by the mean of its heads' weights, and its residual branch keeps each token as it is. Both
    count half. The pooling gives the shares after the last layer. A class token starts with all of the share; its
    own share is left out of the result.

    Source: Abnar & Zuidema, arXiv:2005.00928, which multiplies the layers' matrices. Here the shares of the output
    alone are multiplied by them, from the last layer to the first.

    Args:
        model: a model of `cct.models.build`.
        inputs: its inputs, (b, ...). b is at least 1.

    Raises:
        ModelError: the model has other layers.
    """
    blocks = [layer for layer in model.layers if isinstance(layer, EncoderBlock)]
    pool = next((layer for layer in model.layers if type(layer) in SHARES), None)
    if not blocks or pool is None:
        raise ModelError("the model has no attention: only models that this project built show what they looked at")
    streams = keras.Model(model.inputs[0], [_inputs(layer) for layer in (*blocks, pool)])
    views = next((layer for layer in model.layers if isinstance(layer, BothViews)), None)
    matrices = max(block.num_heads for block in blocks) * (1 if views is None else 2)  # of weights, for an input
    tokens = _inputs(pool)[0].shape[1]
    size = max(1, WEIGHTS_AT_ONCE // (tokens**2 * matrices))
    parts = [_maps(streams, blocks, pool, inputs[i : i + size]) for i in range(0, len(inputs), size)]

    def joined(shares: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(shares if views is None else [views.mean_shares(one) for one in shares])

    rollout, pooled = zip(*parts, strict=True)
    return AttentionMaps(joined(rollout), joined(pooled) if isinstance(pool, SequencePool) else None)


def _maps(
    streams: keras.Model, blocks: list[EncoderBlock], pool: keras.Layer, inputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    *entering, leaving = streams(inputs, training=False)  # compiling would take longer than these few inputs
    share_bn = pooled_bn = SHARES[type(pool)](pool, *leaving)
    rollout = []
    for block, (stream, *mask) in zip(reversed(blocks), reversed(entering), strict=True):
        weights_benm = ops.convert_to_numpy(block.attention.attention_weights(block.norm_1(stream), *mask))
        share_bn = (share_bn + np.einsum("bn,bnm->bm", share_bn, weights_benm.mean(axis=1))) / 2
        rollout.insert(0, share_bn)
    rollout_bln = np.stack(rollout, axis=1)
    if isinstance(pool, FirstToken):
        rollout_bln = rollout_bln[:, :, 1:]
        rollout_bln = rollout_bln / rollout_bln.sum(axis=-1, keepdims=True)
    return rollout_bln, pooled_bn


def _inputs(layer: keras.Layer) -> list[Any]:
    """The tokens that a layer takes, and their mask where it has one."""
    return layer.input if isinstance(layer.input, list) else [layer.input]


def _sequence_shares(pool: SequencePool, tokens_bnd: Any, valid_bn: Any = None) -> np.ndarray:
    return ops.convert_to_numpy(pool.pooling_weights(tokens_bnd, valid_bn))[..., 0]


def _first_token_shares(pool: FirstToken, tokens_bnd: Any) -> np.ndarray:
    b, n, _ = tokens_bnd.shape
    return np.tile(np.eye(1, n, dtype="float32"), (b, 1))


def _mean_shares(pool: keras.layers.GlobalAveragePooling1D, tokens_bnd: Any, valid_bn: Any = None) -> np.ndarray:
    b, n, _ = tokens_bnd.shape
    counts_bn = np.ones((b, n), "float32") if valid_bn is None else ops.convert_to_numpy(valid_bn).astype("float32")
    return counts_bn / counts_bn.sum(axis=1, keepdims=True)


SHARES = {
    SequencePool: _sequence_shares,
    FirstToken: _first_token_shares,
    keras.layers.GlobalAveragePooling1D: _mean_shares,
}
