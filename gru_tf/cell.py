"""`GRUCell`: one step of the gated recurrent unit in Keras ops."""

from numbers import Integral

import keras
import tensorflow as tf
from keras import ops

GATES = ("reset", "update", "candidate")


@keras.saving.register_keras_serializable(package="gru_tf")
class GRUCell(keras.layers.GRUCell):
    """One step of the GRU, for `GRU`, `keras.layers.RNN` and `keras.layers.StackedRNNCells`.

    It computes the equations of `gru_tf.reference.step`. Its arguments are those of `keras.layers.GRUCell`,
    in that order, and its weights have the same names, shapes and order: `kernel` (I, 3H),
    `recurrent_kernel` (H, 3H) and `bias`, (2, 3H) with `reset_after`, else (3H,). Two arguments are by
    keyword only:

    Args:
        update_gate: what an open update gate does: "keep" the old state (Keras, PyTorch, cuDNN) or "write"
            the candidate.
        implementation: 1 draws one input dropout mask for each gate, any other value one for all three.
            Recurrent dropout always draws one for each gate, and then so does input dropout.

    Raises:
        ValueError: for units that are not a positive integer, a dropout outside [0, 1), or an unknown
            update_gate.
    """

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        reset_after=True,
        seed=None,
        *,
        update_gate="keep",
        implementation=2,
        **kwargs,
    ):
        if not isinstance(units, Integral) or units <= 0:
            raise ValueError(f"units={units!r} is not a positive integer: pass the size of the state.")
        for name, rate in {"dropout": dropout, "recurrent_dropout": recurrent_dropout}.items():
            if not 0 <= rate < 1:
                raise ValueError(f"{name}={rate!r} is not a fraction: pass a number in [0, 1).")
        if update_gate not in ("keep", "write"):
            raise ValueError(f"update_gate={update_gate!r} is unknown: pass 'keep' or 'write'.")
        super().__init__(
            int(units),
            activation=_by_name_of_keras(activation),
            recurrent_activation=_by_name_of_keras(recurrent_activation),
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            reset_after=reset_after,
            seed=seed,
            implementation=implementation,
            **kwargs,
        )
        self.implementation = implementation  # Keras makes it 1 where there is recurrent dropout
        self.update_gate = update_gate

    def step(self, inputs, state, training=False):
        """Take inputs (B, I) and a state (B, H); return the new state and the dict of gates, each (B, H)."""
        input_masks = self.get_dropout_mask(inputs) if training else None
        state_masks = self.get_recurrent_dropout_mask(state) if training else None
        input_bias, recurrent_bias = self._biases()
        input_z, input_r, input_h = _project(inputs, self.kernel, input_bias, 3, input_masks)

        if self.reset_after:
            state_z, state_r, state_h = _project(state, self.recurrent_kernel, recurrent_bias, 3, state_masks)
        else:
            gate_kernel, candidate_kernel = ops.split(self.recurrent_kernel, [2 * self.units], axis=1)
            state_z, state_r = _project(state, gate_kernel, None, 2, state_masks)
        update = self.recurrent_activation(input_z + state_z)
        reset = self.recurrent_activation(input_r + state_r)
        if self.reset_after:
            recalled = reset * state_h
        else:
            kept = state if state_masks is None else state * state_masks[2]
            recalled = ops.matmul(reset * kept, candidate_kernel)
        candidate = self.activation(input_h + recalled)

        if self.update_gate == "keep":
            new_state = update * state + (1 - update) * candidate
        else:
            new_state = (1 - update) * state + update * candidate
        return new_state, {"reset": reset, "update": update, "candidate": candidate}

    def call(self, inputs, states, training=False):
        """Return the output and the new states, in the structure of `states`: the state or a list of it."""
        is_list = isinstance(states, (list, tuple))
        state, _ = self.step(inputs, states[0] if is_list else states, training)
        return state, [state] if is_list else state

    def get_config(self):
        """Return every option, so that `from_config` makes an equal cell."""
        return {**super().get_config(), "update_gate": self.update_gate, "implementation": self.implementation}

    def _biases(self):
        """The input and the recurrent bias, (3H,) each, or None where there is none."""
        if not self.use_bias:
            return None, None
        return (self.bias[0], self.bias[1]) if self.reset_after else (self.bias, None)


def _by_name_of_keras(activation):
    """The activation, tanh and sigmoid by the names that the runtimes, `to_torch` and a saved file know."""
    for name in ("tanh", "sigmoid"):
        if activation in (getattr(tf, name), getattr(ops, name)):
            return name
    return activation


def _project(values, kernel, bias, count, masks):
    """Multiply by each of the kernel's `count` column blocks, add the bias, and return the blocks.

    `masks` is None, one dropout mask for all blocks, or a list with one for each block; then each block sees
    its own values.
    """
    if isinstance(masks, list):
        kernels = ops.split(kernel, count, axis=1)
        blocks = [ops.matmul(values * mask, k) for mask, k in zip(masks[:count], kernels, strict=True)]
        product = ops.concatenate(blocks, axis=1)
    else:
        product = ops.matmul(values if masks is None else values * masks, kernel)
    return ops.split(product if bias is None else product + bias, count, axis=1)
