"""What `GRU` and `MinGRU` share: loops over the steps in two forms, and values with a gradient of their own.

A scan, `scan(step, rows, start, kept=0, reverse=False)`, carries a value (B, H) through the steps. At each,
`step(value, *row)` takes the blocks (B, H) of every array (T, B, nH) in `rows`, and returns the next value and the list
of `kept` arrays (B, H) to keep. The scan returns all values, (T + 1, B, H), in the order of time, `start` included: at
index 0, or with `reverse` at T; and the list of what was kept, each (T, B, H).
"""

from functools import partial

import tensorflow as tf

STEPS_AT_ONCE = 4  # of a TensorFlow loop, to share its overhead


def scan_rows(step, rows, start, kept=0, reverse=False, *, at_once=STEPS_AT_ONCE):
    """A TensorFlow loop over rows of TensorArrays, for any shapes; `at_once` steps share its overhead.

    With one at once it is a loop that converters to other formats know.
    """
    units = start.shape[-1]
    steps = tf.shape(rows[0])[0]
    blocks = [block for row in rows for block in tf.split(row, row.shape[-1] // units, -1)]
    arrays = [tf.TensorArray(b.dtype, steps, element_shape=b.shape[1:]).unstack(b) for b in blocks]
    written = [tf.TensorArray(start.dtype, steps, element_shape=start.shape) for _ in range(1 + kept)]

    def advance(width, i, value, written):
        for k in range(width):
            t = steps - 1 - i - k if reverse else i + k
            value, new = step(value, *(array.read(t) for array in arrays))
            written = [array.write(t, v) for array, v in zip(written, [value, *new], strict=True)]
        return i + width, value, written

    loop = 0, start, written
    for width in sorted({at_once, 1}, reverse=True):
        last = steps - (width - 1)
        loop = tf.while_loop(lambda i, *_, last=last: i < last, partial(advance, width), loop)
    values, *keep = (array.stack() for array in loop[-1])
    return tf.concat([values, start[tf.newaxis]] if reverse else [start[tf.newaxis], values], 0), keep


def scan_slices(step, rows, start, kept=0, reverse=False):
    """A loop over slices of the arrays, for XLA."""
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


def precise(dtype):
    """The dtype to compute in for results of this dtype."""
    return dtype if dtype == tf.float64 else tf.float32


def differentiable(values, gradient, *inputs):
    """The first of `values(*inputs)`, with a gradient in place of TensorFlow's.

    That is `gradient(kept, values, upstream, *inputs)`, where `kept` is the second. No tape sees how the values are
    computed, from either end: it would store what each step of a loop did.
    """
    computed, kept = tf.nest.map_structure(tf.stop_gradient, values(*map(tf.stop_gradient, inputs)))
    return with_gradient(gradient, computed, kept, *inputs)


def with_gradient(gradient, values, kept, *inputs):
    """The values as a function of the inputs, and as one again where the gradient uses them: for any order."""

    @tf.custom_gradient
    def attach(*tensors):
        # Copies belong to the graph that is being built, and so can be differentiated with it.
        values, *others = map(tf.identity, tensors)
        kept, inputs = others[:n], others[n:]

        def backward(upstream):
            attached = with_gradient(gradient, values, kept, *inputs)
            return *[None] * (1 + n), *gradient(kept, attached, upstream, *inputs)

        return values, backward

    n = len(kept)
    return attach(values, *kept, *inputs)
