"""The fused runtime without XLA, for shapes that change: a TensorFlow loop over rows of TensorArrays."""

from functools import cache, partial

import tensorflow as tf

from gru_tf.runtimes import fused

STEPS_AT_ONCE = 4  # of the loop, to share its overhead


def run(cell, sequences, state, mask=None, *, record=(), training=False, unroll=False):
    """Carry the state through the time axis; arguments and results as in `portable.run`."""
    arguments = fused.arguments(cell, sequences, state, mask, training)
    options = {"record": tuple(record), "reset_after": cell.reset_after, "update_gate": cell.update_gate}
    options |= {"joined": False, "keep_gates": False}
    call = partial(fused.run, scan, **options) if tf.inside_function() else _traced(*cell.kernel.shape, **options)
    return fused.with_static_shapes(call(*arguments), sequences, state)


def scan(step, rows, start, kept=0, reverse=False):
    """Carry a value through the steps; see `fused`."""
    units = start.shape[-1]
    steps = tf.shape(rows[0])[0]
    blocks = [block for row in rows for block in tf.split(row, row.shape[-1] // units, -1)]
    arrays = [tf.TensorArray(b.dtype, steps, element_shape=b.shape[1:]).unstack(b) for b in blocks]
    values = tf.TensorArray(start.dtype, steps + 1, element_shape=start.shape)
    values = values.write(steps if reverse else 0, start)
    keep = [tf.TensorArray(start.dtype, steps, element_shape=start.shape) for _ in range(kept)]

    def advance(width, i, value, values, keep):
        for k in range(width):
            t = steps - 1 - i - k if reverse else i + k
            value, new = step(value, *(array.read(t) for array in arrays))
            values = values.write(t if reverse else t + 1, value)
            keep = [array.write(t, n) for array, n in zip(keep, new, strict=True)]
        return i + width, value, values, keep

    loop = 0, start, values, keep
    for width in (STEPS_AT_ONCE, 1):
        loop = tf.while_loop(
            lambda i, *_, width=width: i + width <= steps, lambda *loop, width=width: advance(width, *loop), loop
        )
    *_, values, keep = loop
    return values.stack(), [array.stack() for array in keep]


@cache
def _traced(features, width, **options):
    """The fused run as a graph, for eager calls: a loop of eager operations would take many times as long.

    One for each shape of the kernel, so that only B and T are relaxed when they change.
    """
    return tf.function(partial(fused.run, scan, **options), autograph=False, reduce_retracing=True)
