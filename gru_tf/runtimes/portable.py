"""The runtime that serves every option on every device: a TensorFlow loop that calls the cell each step."""

import tensorflow as tf


def missing(cell, unroll):
    """It has every option."""


def obstacle(cell, call):
    """It serves every call."""


def run(cell, sequences, state, mask=None, *, record=(), training=False, unroll=False):
    """Carry the state through the time axis, in eager mode, in a `tf.function` and under XLA.

    Args:
        cell: a `GRUCell` whose weights are built.
        sequences: inputs in the order of the steps, (B, T, I), T >= 1.
        state: the state before the first step, (B, H).
        mask: (B, T) bool, or None; a step whose mask is False leaves the state as it was.
        record: which sequences to keep: any of "state" (the state after each step), "reset", "update" and
            "candidate".
        training: whether the cell applies its dropout masks.
        unroll: whether to write the steps one after the other into the graph; T must then be static.

    Returns:
        The last state, (B, H), and a dict of the recorded sequences, each (B, T, H). What the gates of a
        padded step hold is not defined.
    """
    arrays = [sequences, *([] if mask is None else [mask[..., tf.newaxis]])]

    def advance(state, x, *real):
        new_state, gates = cell.step(x, state, training)
        if real:
            new_state = tf.where(*real, new_state, state)
        values = {"state": new_state, **gates}
        return new_state, [values[name] for name in record]

    state, recorded = (_unrolled if unroll else _loop)(advance, state, arrays, len(record))
    return state, dict(zip(record, recorded, strict=True))


def _unrolled(advance, state, arrays, _):
    recorded = []
    for row in zip(*(tf.unstack(array, axis=1) for array in arrays), strict=True):
        state, values = advance(state, *row)
        recorded.append(values)
    return state, [tf.stack(values, 1) for values in zip(*recorded, strict=True)]


def _loop(advance, state, arrays, kept):
    steps = arrays[0].shape[1] or tf.shape(arrays[0])[1]
    rows = [_by_step(array) for array in arrays]
    empty = [tf.TensorArray(state.dtype, steps, element_shape=state.shape) for _ in range(kept)]

    def body(t, state, recorded):
        state, values = advance(state, *(row.read(t) for row in rows))
        return t + 1, state, [array.write(t, value) for array, value in zip(recorded, values, strict=True)]

    # XLA can differentiate the loop only when it knows the greatest number of steps.
    loop = tf.while_loop(lambda t, *_: t < steps, body, (0, state, empty), maximum_iterations=steps)
    return loop[1], [tf.transpose(array.stack(), [1, 0, 2]) for array in loop[2]]


def _by_step(values):
    """The steps of (B, T, N) as an array that a loop reads one by one, each read with a cheap gradient."""
    by_time = tf.transpose(values, [1, 0, 2])
    steps = tf.TensorArray(values.dtype, tf.shape(by_time)[0], element_shape=by_time.shape[1:])
    return steps.unstack(by_time)
