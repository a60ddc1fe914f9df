"""The runtime that serves every option on every device: a TensorFlow loop that calls the cell each step."""

import tensorflow as tf


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
    steps = sequences.shape[1] or tf.shape(sequences)[1]
    inputs = _by_step(sequences)
    real_steps = None if mask is None else _by_step(mask[..., tf.newaxis])

    def advance(t, state, recorded):
        new_state, gates = cell.step(inputs.read(t), state, training)
        if mask is not None:
            new_state = tf.where(real_steps.read(t), new_state, state)
        values = {"state": new_state, **gates}
        return t + 1, new_state, {name: array.write(t, values[name]) for name, array in recorded.items()}

    empty = {name: tf.TensorArray(state.dtype, steps, element_shape=state.shape) for name in record}
    carried = 0, state, empty
    if unroll:
        for _ in range(steps):
            carried = advance(*carried)
    else:
        # XLA can differentiate the loop only when it knows the greatest number of steps.
        carried = tf.while_loop(lambda t, *_: t < steps, advance, carried, maximum_iterations=steps)
    _, state, recorded = carried
    return state, {name: tf.transpose(array.stack(), [1, 0, 2]) for name, array in recorded.items()}


def _by_step(values):
    """The steps of (B, T, N) as an array that a loop reads one by one, each read with a cheap gradient."""
    by_time = tf.transpose(values, [1, 0, 2])
    steps = tf.TensorArray(values.dtype, tf.shape(by_time)[0], element_shape=by_time.shape[1:])
    return steps.unstack(by_time)
