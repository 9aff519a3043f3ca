"""Attention over many tokens, in training on TensorFlow: the weights of a few queries are in memory at a time.

The backward pass computes the weights again, and the masks of dropout from their seed. So memory grows with the number
of tokens, not with its square. Source: Rabe & Staats, "Self-attention Does Not Need O(n^2) Memory", arXiv:2112.05682.
"""

from cct.models.cost import MANY_TOKENS, QUERIES_AT_ONCE
from cct.models.layers.base import masked
from cct.models.layers.fast import fast_path, random_keep


def in_parts(tokens: int, training: bool) -> bool:
    """Whether `attend` computes the attention of so many tokens."""
    return fast_path(training) and tokens > MANY_TOKENS


def attend(query_benk, key_benk, value_benk, valid_bn, *, rate: float, seed):
    """The values mixed by their weights, (b, heads, n, head_dim).

    Args:
        query_benk: (b, heads, n, head_dim), scaled. As key_benk and value_benk, in the type of the products.
        valid_bn: which tokens count, (b, n); None: all.
        rate: dropout rate of the weights.
        seed: two integers, from which all masks of dropout follow.
    """
    import tensorflow as tf

    n, at_once = query_benk.shape[2], QUERIES_AT_ONCE
    parts = -(-n // at_once)

    def split(one_benk):
        """Parts of the queries, (parts, b, heads, QUERIES_AT_ONCE, head_dim). The last is filled up with zeros."""
        b, e, _, k = (tf.shape(one_benk)[0], *one_benk.shape[1:])
        full = tf.pad(one_benk, [[0, 0], [0, 0], [0, parts * at_once - n], [0, 0]])
        return tf.transpose(tf.reshape(full, (b, e, parts, at_once, k)), (2, 0, 1, 3, 4))

    def join(parts_pbeqk):
        e, k = parts_pbeqk.shape[2], parts_pbeqk.shape[4]
        full = tf.reshape(tf.transpose(parts_pbeqk, (1, 2, 0, 3, 4)), (-1, e, parts * at_once, k))
        return full[:, :, :n]

    def weights(query_beqk, key_benk, part):
        """The weights of a part's queries, (b, heads, q, n), in float32, and dropout as a function of such numbers."""
        scores = tf.cast(tf.matmul(query_beqk, key_benk, transpose_b=True), "float32")
        weights_beqn = tf.nn.softmax(scores if valid_bn is None else masked(scores, valid_bn[:, None, None, :]))
        if not rate:
            return weights_beqn, lambda numbers: numbers
        keep, scale = random_keep(tf.shape(scores), rate, tf.random.experimental.stateless_fold_in(seed, part))
        mask = tf.where(keep, scale, 0.0)
        return weights_beqn, lambda numbers: numbers * mask

    @tf.custom_gradient
    def mixed(query_benk, key_benk, value_benk):
        dtype, queries_pbeqk = query_benk.dtype, split(query_benk)

        def forward(part, done):
            weights_beqn, drop = weights(queries_pbeqk[part], key_benk, part)
            return part + 1, done.write(part, tf.matmul(tf.cast(drop(weights_beqn), dtype), value_benk))

        def backward(upstream_pbeqk, part, queries, keys_benk, values_benk):
            query_beqk, upstream_beqk = queries_pbeqk[part], upstream_pbeqk[part]
            weights_beqn, drop = weights(query_beqk, key_benk, part)
            dropped = tf.cast(drop(weights_beqn), dtype)
            values_benk += tf.cast(tf.matmul(dropped, upstream_beqk, transpose_a=True), "float32")
            gradient = tf.cast(tf.matmul(upstream_beqk, value_benk, transpose_b=True), "float32")
            gradient = weights_beqn * drop(gradient)
            scores = gradient - weights_beqn * tf.reduce_sum(gradient, -1, keepdims=True)
            scores = tf.cast(scores, dtype)
            keys_benk += tf.cast(tf.matmul(scores, query_beqk, transpose_a=True), "float32")
            return part + 1, queries.write(part, tf.matmul(scores, key_benk)), keys_benk, values_benk

        def loop(body, *others):
            # Two parts side by side would need the memory of both.
            return tf.while_loop(lambda part, *_: part < parts, body, (0, *others), parallel_iterations=1)

        def gradients(upstream_benk):
            upstream_pbeqk = split(upstream_benk)
            start = (tf.zeros(tf.shape(one), "float32") for one in (key_benk, value_benk))
            array = tf.TensorArray(dtype, parts)
            _, queries, keys, values = loop(lambda *state: backward(upstream_pbeqk, *state), array, *start)
            return join(queries.stack()), tf.cast(keys, dtype), tf.cast(values, dtype)

        _, done = loop(forward, tf.TensorArray(dtype, parts))
        return join(tf.ensure_shape(done.stack(), (parts, *queries_pbeqk.shape[1:4], value_benk.shape[3]))), gradients

    return mixed(query_benk, key_benk, value_benk)
