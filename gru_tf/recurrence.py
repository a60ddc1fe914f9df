"""The linear recurrence h_t = a_t ⊙ h_{t-1} + b_t, with h_0 = 0: by a loop, or all steps together by a scan.

A step is the map h → a ⊙ h + b, and two of them, one after the other, are again such a map:

    (a, b) then (a', b')  =  (a ⊙ a', a' ⊙ b + b')

That composition is associative, so steps may be joined in any grouping, as the terms of a sum may (Blelloch 1990,
"Prefix Sums and Their Applications"). With every a in [0, 1] no product of them can overflow, so no logarithms are
needed. The gradient runs backwards through time and is the same recurrence: δ_t = g_t + a_{t+1} ⊙ δ_{t+1}.

`keras.ops.associative_scan` does the same for any operation, but not in a graph that does not know T, nor under XLA for
every T (Keras 3.15), and a gradient through it keeps all that it computes on the way.
"""

import tensorflow as tf

from gru_tf.scans import scan_rows, scan_slices, with_gradient
from gru_tf.tracing import compiled_by_caller, program

LEVELS = 10  # of a scan whose T shows only when it runs: a loop goes over the thousandth of the steps that is left


def solve(a, b, scan="parallel"):
    """h_1 … h_T, (B, T, H), from a and b, (B, T, H), in the floating dtype of both; T >= 1.

    `scan` is "parallel", 2 log₂ T operations on ever fewer steps, or "sequential", a loop over the T steps. The values
    agree to rounding. It has derivatives of any order, and what it keeps for them is a and the result.
    """
    states = program(SCANS[scan], sizes=b.shape[2])
    h = tf.ensure_shape(states(tf.stop_gradient(a), tf.stop_gradient(b)), b.shape)

    def gradient(_, h, upstream, a, b):
        next_a = tf.pad(a[:, 1:], [[0, 0], [0, 1], [0, 0]])
        delta = _reversed(solve(_reversed(next_a), _reversed(upstream), scan))
        return delta * tf.pad(h[:, :-1], [[0, 0], [1, 0], [0, 0]]), delta

    return with_gradient(gradient, tf.stop_gradient(h), [], a, b)


def _parallel(a, b, levels=LEVELS):
    """Join neighbours to half as many steps, solve these, and take the step between from each.

    What is left after joining are the states of the even steps, h_2, h_4, …; an odd one is a step from the one before.
    """
    steps, units = b.shape[1], b.shape[2]
    if steps == 1:
        return b
    if steps is None and not levels:
        return _sequential(a, b)
    total = steps or tf.shape(b)[1]
    half = (total + 1) // 2
    if steps is None or steps % 2:  # a last step that changes nothing
        fill = [[0, 0], [0, 2 * half - total], [0, 0]]
        a, b = tf.pad(a, fill, constant_values=1), tf.pad(b, fill)
    (odd_a, even_a), (odd_b, even_b) = (tf.split(tf.reshape(v, [-1, half, 2 * units]), 2, -1) for v in (a, b))
    if steps:
        odd_a, even_a, odd_b, even_b = (tf.ensure_shape(v, [None, half, units]) for v in (odd_a, even_a, odd_b, even_b))
    even = _parallel(odd_a * even_a, even_a * odd_b + even_b, levels - 1)
    odd = odd_a * tf.pad(even, [[0, 0], [1, 0], [0, 0]])[:, :half] + odd_b
    return tf.reshape(tf.concat([odd, even], -1), [-1, 2 * half, units])[:, :total]


def _sequential(a, b):
    """The loop that the fused runtimes of `GRU` run, with this step in it."""
    scan = scan_slices if compiled_by_caller() else scan_rows
    by_time = [tf.transpose(values, [1, 0, 2]) for values in (a, b)]
    states, _ = scan(lambda h, a, b: (a * h + b, []), by_time, tf.zeros_like(b[:, 0]))
    return tf.transpose(states[1:], [1, 0, 2])


SCANS = {"parallel": _parallel, "sequential": _sequential}


def _reversed(values):
    return tf.reverse(values, [1])
