"""What `GRU` and `MinGRU` take in: the steps, the mask and the initial state; and how padding shows in what comes out.

Nothing is broadcast along the batch or the steps: sizes that differ are a `ValueError`, or
`tf.errors.InvalidArgumentError` where they show only when a graph runs.
"""

import re

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from gru_tf.tracing import compiled_by_caller


class Steps:
    """The steps of a call, in the order in which a layer takes them.

    `values` is (B, T, I), T >= 1. `mask` is (B, T), False for a padded step, or None. What was passed at a padded step,
    finite or not, is of no influence: `values` has zeros there. Ragged sequences are padded.
    """

    def __init__(self, sequences, mask, go_backwards):
        self._exists = None  # of ragged sequences: which steps they have, (B, T)
        if isinstance(sequences, tf.RaggedTensor):
            if compiled_by_caller():
                raise ValueError(
                    "sequences is a RaggedTensor, which XLA does not take: pass sequences.to_tensor(), and "
                    "mask=tf.sequence_mask(sequences.row_lengths())."
                )
            lengths, sequences = sequences.row_lengths(), sequences.to_tensor()
            self._exists = tf.sequence_mask(lengths, tf.shape(sequences)[1])
        sequences = _with_steps(sequences)
        mask, sequences = _fitting("mask", mask, sequences, axes=2)
        if mask is None:
            mask = self._exists
        else:
            mask = ops.cast(mask, "bool")
            mask = mask if self._exists is None else mask & self._exists
        if mask is not None:
            sequences = tf.where(mask[..., None], sequences, 0)
        if go_backwards:
            sequences, mask, self._exists = map(_reversed, (sequences, mask, self._exists))
        self.values, self.mask = sequences, mask

    def checked_state(self, name, state, units, dtype):
        """The one state (B, H) that `state` is or holds, in the dtype given; or None."""
        state, self.values = _fitting(name, state, self.values, axes=1, rest=(units,))
        return None if state is None else ops.convert_to_tensor(state, dtype=dtype)

    def last_output(self, state, zero_output_for_mask):
        """What the last step puts out, (B, H), from the state after it."""
        return state if self.mask is None else _shown(state, self._has_output(zero_output_for_mask)[:, -1])

    def outputs(self, states, zero_output_for_mask):
        """What all steps put out, (B, T, H), from the states after them; ragged as the sequences."""
        return self._all(states, self.mask is not None and self._has_output(zero_output_for_mask))

    def gates(self, values):
        """A gate at all steps, (B, T, H), with zeros at the padded ones; ragged as the sequences."""
        return self._all(values, self.mask)

    def _has_output(self, zero_output_for_mask):
        return self.mask if zero_output_for_mask else ops.cumsum(ops.cast(self.mask, "float32"), axis=1) > 0

    def _all(self, values, shown):
        values = values if self.mask is None else _shown(values, shown)
        return values if self._exists is None else tf.ragged.boolean_mask(values, self._exists)


def outgoing_mask(sequences, mask, go_backwards):
    """The mask of the outputs, in the order of their steps, from that of the sequences; or None."""
    [mask] = _arrays(mask)
    if mask is not None and isinstance(sequences, tf.RaggedTensor):
        mask = tf.RaggedTensor.from_tensor(mask, sequences.row_lengths())
    return _reversed(mask) if go_backwards else mask


def _with_steps(sequences):
    """The sequences, which have at least one step."""
    steps, message = sequences.shape[1], "sequences has T = 0: pass at least one step."
    if steps == 0:
        raise ValueError(message)
    if steps is not None:
        return sequences
    [sequences] = _asserted(
        [(sequences.shape, sequences)],
        lambda: tf.shape(sequences)[1] > 0,
        message,
        refused=lambda: tf.slice(sequences, [0, 0, 0], [-1, 1, -1]),
    )
    return sequences


def _fitting(name, value, sequences, axes, rest=()):
    """The one array that an argument is or holds, or None: as large as sequences along the first axes, then `rest`.

    The sequences come back too: nothing is computed from them before a graph has found that the sizes agree.
    """
    arrays, shape = _arrays(value), tf.TensorShape([*sequences.shape[:axes], *rest])
    if len(arrays) != 1 or not (arrays[0] is None or shape.is_compatible_with(arrays[0].shape)):
        shapes = ", ".join(str(tuple(array.shape)) for array in arrays) or "[]"
        raise ValueError(f"{name} has shape {shapes}: these sequences need one tensor of shape {tuple(shape)}.")
    [array] = arrays
    if array is None or (shape.is_fully_defined() and tf.TensorShape(array.shape).is_fully_defined()):
        return array, sequences

    sizes = ", ".join([*"BT"[:axes], *map(str, rest)])
    message = f"{name} does not fit sequences of shape (B, T, I): pass one tensor of shape ({sizes})."
    found, wanted = tf.shape(array), tf.concat([tf.shape(sequences)[:axes], tf.constant(rest, "int32")], 0)
    shape = shape.merge_with(array.shape)
    # Where the array's size is known, so is that of the sequences: else Grappler finds it out, and drops the assertion.
    array, sequences = _asserted(
        [(shape, array), (shape[:axes].concatenate(sequences.shape[axes:]), sequences)],
        lambda: tf.reduce_all(found == wanted),
        message,
        refused=lambda: tf.concat([tf.zeros(tf.concat([sizes, [0]], 0)) for sizes in (found, wanted)], -1),
    )
    return array, sequences


def _arrays(value):
    """The arrays that an argument is or holds in a list, None only if alone; nested lists of numbers are an array."""
    leaves = keras.tree.flatten(value)
    if any(map(np.isscalar, leaves)):
        array = np.asarray(value)
        return list(array) if array.ndim > 2 else [array]
    arrays = [leaf.to_tensor() if isinstance(leaf, tf.RaggedTensor) else leaf for leaf in leaves if leaf is not None]
    return arrays or leaves[:1]


def _asserted(values, condition, message, refused):
    """The values; where the condition does not hold when a graph runs, an error with the message and their shapes.

    XLA drops assertions. But it compiles no operation whose shapes do not fit, as those of `refused` then, and it names
    the operation in its error: so the name is the message.
    """
    with tf.name_scope(re.sub(r"\W+", "_", message)):
        shapes = [tf.shape(value) for _, value in values]
        with tf.control_dependencies([tf.debugging.Assert(condition(), [message, *shapes]), refused()]):
            return [tf.ensure_shape(value, shape) for shape, value in values]


def _reversed(values):
    return None if values is None else ops.flip(values, axis=1)


def _shown(values, where):
    return ops.where(where[..., None], values, 0)
