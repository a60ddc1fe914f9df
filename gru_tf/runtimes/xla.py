"""The fused runtime compiled by XLA, one program for each shape."""

from functools import cache, partial

import tensorflow as tf

from gru_tf.runtimes import fused


def run(cell, sequences, state, mask=None, *, record=(), training=False, unroll=False):
    """Carry the state through the time axis; arguments and results as in `portable.run`."""
    arguments = fused.arguments(cell, sequences, state, mask, training)
    options = {"record": tuple(record), "reset_after": cell.reset_after, "update_gate": cell.update_gate}
    return fused.with_static_shapes(_compiled(*cell.kernel.shape, **options)(*arguments), sequences, state)


def scan(step, rows, start, reverse=False):
    """Carry a value through the steps; see `fused`."""
    steps, batch, units = tf.shape(rows[0])[0], tf.shape(start)[0], start.shape[-1]
    carried = tf.TensorArray(start.dtype, steps + 1, element_shape=start.shape)
    carried = carried.write(steps if reverse else 0, start)

    def block(row, t, column):
        # Straight out of the stored array: a slice of a slice would be copied by every operation that reads it.
        return tf.reshape(tf.slice(row, [t, 0, column], [1, batch, units]), tf.shape(start))

    def advance(i, value, carried):
        t = steps - 1 - i if reverse else i
        row = [block(row, t, column) for row in rows for column in range(0, row.shape[-1], units)]
        value = step(value, *row)
        return i + 1, value, carried.write(t if reverse else t + 1, value)

    *_, carried = tf.while_loop(lambda i, *_: i < steps, advance, (0, start, carried))
    return carried.stack()


@cache
def _compiled(features, width, **options):
    """The fused run as one program, for each shape of the kernel, so that only B and T are relaxed when they change."""
    return tf.function(partial(fused.run, scan, **options), jit_compile=True, autograph=False, reduce_retracing=True)
