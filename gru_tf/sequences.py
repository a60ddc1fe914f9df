"""What `GRU` and `MinGRU` ask of the sequences, the mask and the initial state that they are called with."""

import keras
import tensorflow as tf
from keras import ops


def with_steps(sequences):
    """The sequences, which have at least one step."""
    steps = sequences.shape[1]
    message = "sequences has T = 0: pass at least one step."
    if steps == 0:
        raise ValueError(message)
    if steps is not None:
        return sequences
    with tf.control_dependencies([tf.debugging.assert_positive(tf.shape(sequences)[1], message)]):
        return tf.identity(sequences)


def checked_mask(mask, sequences):
    """The mask as booleans of shape (B, T), or None."""
    mask = keras.tree.flatten(mask)[0]
    if mask is None:
        return None
    expected = tuple(sequences.shape[:2])
    if not _fits(mask.shape, expected):
        raise ValueError(f"mask has shape {tuple(mask.shape)}: pass one value for each step, {expected}.")
    return ops.cast(mask, "bool")


def checked_state(name, state, sequences, units, dtype):
    """The one state (B, H) that `state` is or holds, in the dtype given."""
    states = keras.tree.flatten(state)
    expected = (sequences.shape[0], units)
    if len(states) != 1 or not _fits(states[0].shape, expected):
        shapes = ", ".join(str(tuple(state.shape)) for state in states)
        raise ValueError(f"{name} has shape {shapes}: these sequences need one tensor of shape {expected}.")
    return ops.convert_to_tensor(states[0], dtype=dtype)


def reversed_steps(sequences, mask):
    """The sequences and the mask, or None, from the last step to the first."""
    return ops.flip(sequences, axis=1), None if mask is None else ops.flip(mask, axis=1)


def masked_output(output, mask, return_sequences, zero_output_for_mask):
    """The states (B, T, H), or the last one (B, H), with zeros where there is no output to repeat."""
    shown = mask if zero_output_for_mask else ops.cumsum(ops.cast(mask, "float32"), axis=1) > 0
    shown = shown if return_sequences else shown[:, -1]
    return ops.where(shown[..., None], output, 0)


def _fits(shape, expected):
    """Whether two shapes are equal as far as both are known."""
    if len(shape) != len(expected):
        return False
    return all(a == b or None in (a, b) for a, b in zip(shape, expected, strict=True))
