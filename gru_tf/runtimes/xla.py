"""The fused runtime compiled by XLA, one program for each shape."""

from functools import cache, partial

import tensorflow as tf

# Not public; it tells whether this trace is to be compiled by XLA as a whole.
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

from gru_tf.runtimes import fused


def run(cell, sequences, state, mask=None, *, record=(), training=False, unroll=False):
    """Carry the state through the time axis; arguments and results as in `portable.run`."""
    arguments = fused.arguments(cell, sequences, state, mask, training)
    options = {"record": tuple(record), "reset_after": cell.reset_after, "update_gate": cell.update_gate}
    # Training tells that a gradient will follow; without the gates it only takes a little longer.
    options |= {"joined": True, "keep_gates": bool(training)}
    # A program within a program would be compiled again for each new value of what it is called with.
    call = partial(fused.run, scan, **options) if compiles_this_trace() else _compiled(*cell.kernel.shape, **options)
    return fused.with_static_shapes(call(*arguments), sequences, state)


def compiles_this_trace():
    """Whether the caller is being traced under `jit_compile=True`."""
    return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def scan(step, rows, start, kept=0, reverse=False):
    """Carry a value through the steps; see `fused`."""
    steps, batch, units = tf.shape(rows[0])[0], tf.shape(start)[0], start.shape[-1]
    values = tf.TensorArray(start.dtype, steps + 1, element_shape=start.shape)
    values = values.write(steps if reverse else 0, start)
    keep = [tf.TensorArray(start.dtype, steps, element_shape=start.shape) for _ in range(kept)]

    def block(row, t, column):
        # Straight out of the stored array: a slice of a slice would be copied by every operation that reads it.
        return tf.reshape(tf.slice(row, [t, 0, column], [1, batch, units]), tf.shape(start))

    def advance(i, value, values, keep):
        t = steps - 1 - i if reverse else i
        row = [block(row, t, column) for row in rows for column in range(0, row.shape[-1], units)]
        value, new = step(value, *row)
        keep = [array.write(t, n) for array, n in zip(keep, new, strict=True)]
        return i + 1, value, values.write(t if reverse else t + 1, value), keep

    *_, values, keep = tf.while_loop(lambda i, *_: i < steps, advance, (0, start, values, keep))
    return values.stack(), [array.stack() for array in keep]


@cache
def _compiled(features, width, **options):
    """The fused run as one program, for each shape of the kernel, so that only B and T are relaxed when they change."""
    run = partial(fused.run, scan, **options)
    return tf.function(run, jit_compile=True, autograph=False, reduce_retracing=True)
