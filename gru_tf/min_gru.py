"""`MinGRU`: a gated unit whose gate and candidate see the input alone, so that all steps can be computed together."""

from numbers import Integral

import keras
import tensorflow as tf
from keras import activations, constraints, initializers, ops, regularizers

from gru_tf import recurrence
from gru_tf.scans import precise
from gru_tf.sequences import Steps, outgoing_mask

_PLAIN_OPTIONS = (
    "units",
    "use_bias",
    "return_sequences",
    "return_state",
    "go_backwards",
    "update_gate",
    "zero_output_for_mask",
    "scan",
)
_OBJECT_OPTIONS = {
    "activation": activations,
    "kernel_initializer": initializers,
    "bias_initializer": initializers,
    "kernel_regularizer": regularizers,
    "bias_regularizer": regularizers,
    "activity_regularizer": regularizers,
    "kernel_constraint": constraints,
    "bias_constraint": constraints,
}


@keras.saving.register_keras_serializable(package="gru_tf")
class MinGRU(keras.layers.Layer):
    """The minimal gated recurrent unit over sequences (B, T, I), with H = `units` (Feng et al. 2024, arXiv 2410.01201).

    It is the GRU without its recurrent products and its reset gate::

        z_t = σ(x_t W_z + b_z)                              update gate
        c_t = f(x_t W_h + b_h)                              candidate, f the activation
        h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ c_t               update_gate="keep"
        h_t = (1 - z_t) ⊙ h_{t-1} + z_t ⊙ c_t               update_gate="write", as the paper has it

    No gate waits for a state, so the states of all steps come from one linear recurrence, `gru_tf.recurrence`. Its
    factors lie between 0 and 1: it is stable as it stands, and the paper's way through logarithms is not needed.
    Weights of one polarity are weights of the other with the sign of W_z and b_z turned around.

    The weights are `kernel` = [W_z, W_h], (I, 2H), and `bias` = [b_z, b_h], (2H,). It runs eagerly, in a `tf.function`
    and under `jit_compile=True`, with any T, also one that a graph does not know.

    Args:
        units: H, a positive integer.
        activation: f of the candidate; None, the default, is none, as in the paper's first form.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: as in other Keras layers.
        kernel_regularizer, bias_regularizer, activity_regularizer: as in other Keras layers.
        kernel_constraint, bias_constraint: as in other Keras layers.
        return_sequences: whether to return the states of all steps, (B, T, H), or the last, (B, H).
        return_state: whether to return the last state too.
        go_backwards: whether to run from the last step to the first. Sequences come in the order in which they were
            computed, and so does the mask that Keras hands to the next layer.
        update_gate: what an open update gate does, "keep" or "write"; "keep" as in `gru_tf.GRU`.
        zero_output_for_mask: whether the output of a padded step is zeros instead of the last output.
        scan: "parallel" joins steps in pairs, 2 log₂ T operations one after the other; "sequential" is a loop over
            the T steps. The values agree to rounding.

    Call arguments:
        sequences: (B, T, I), T >= 1; B may be 0. What stands in a padded step, finite or not, changes nothing. Or a
            `tf.RaggedTensor` of that shape, not under `jit_compile=True`: then sequences of results are ragged too.
        initial_state: h_0, (B, H), or a list of it, numbers as nested lists included; zeros when None.
        mask: (B, T), False for a padded step, which leaves the state as it was. Any pattern will do.

    Returns:
        `output`, or the tuple `(output, state)` with `return_state`, in the compute dtype. A padded step repeats the
        last output, or puts out zeros before the first real step and with `zero_output_for_mask`. The products are
        computed in the compute dtype, gates and states in float32 at least: in bfloat16 a gate of 0.999 is 1.

    Raises:
        ValueError: for an argument out of its range, T = 0, and a mask or an initial state of a wrong shape. A T = 0
            or a wrong shape that shows only when a graph runs raises `tf.errors.InvalidArgumentError`.
    """

    stateful = False  # `keras.layers.Bidirectional` asks

    def __init__(
        self,
        units,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        *,
        update_gate="keep",
        zero_output_for_mask=False,
        scan="parallel",
        **kwargs,
    ):
        if not isinstance(units, Integral) or units <= 0:
            raise ValueError(f"units={units!r} is not a positive integer: pass the size of the state.")
        if update_gate not in ("keep", "write"):
            raise ValueError(f"update_gate={update_gate!r} is unknown: pass 'keep' or 'write'.")
        if scan not in recurrence.SCANS:
            raise ValueError(f"scan={scan!r} is unknown: pass 'parallel' or 'sequential'.")
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.update_gate = update_gate
        self.zero_output_for_mask = zero_output_for_mask
        self.scan = scan
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def build(self, sequences_shape, initial_state_shape=None):
        """Create the weights for sequences of shape (B, T, I)."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(sequences_shape[-1], 2 * self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(2 * self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: sequences_shape[-1]})

    def call(self, sequences, initial_state=None, mask=None, sequences_mask=None):
        """Run the unit over the sequences; arguments and results as in the class's description.

        `sequences_mask` is where Keras puts the mask that comes with the sequences when there is an initial state too.
        """
        steps = Steps(sequences, sequences_mask if mask is None else mask, self.go_backwards)
        start = steps.checked_state("initial_state", initial_state, self.units, self.compute_dtype)
        states = self._states(steps.values, start, steps.mask)
        last = states[:, -1]
        show, values = (steps.outputs, states) if self.return_sequences else (steps.last_output, last)
        output = show(values, self.zero_output_for_mask)
        return (output, last) if self.return_state else output

    def _states(self, sequences, start, mask):
        """h_1 … h_T, (B, T, H), in the compute dtype."""
        projection = ops.matmul(sequences, self.kernel)
        if self.bias is not None:
            projection = projection + self.bias
        projection = tf.cast(projection, precise(tf.as_dtype(self.compute_dtype)))
        update, candidate = tf.split(projection, 2, -1)
        update, candidate = tf.sigmoid(update), self.activation(candidate)
        if self.update_gate == "keep":
            kept, written = update, (1 - update) * candidate
        else:
            kept, written = 1 - update, update * candidate
        if mask is not None:  # a padded step keeps all and writes nothing
            kept, written = tf.where(mask[..., None], kept, 1), tf.where(mask[..., None], written, 0)
        if start is not None:
            first = written[:, :1] + kept[:, :1] * tf.cast(start, written.dtype)[:, None]
            written = tf.concat([first, written[:, 1:]], axis=1)
        return tf.cast(recurrence.solve(kept, written, self.scan), self.compute_dtype)

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        """Return the shapes of the results, in their structure."""
        batch, steps = sequences_shape[:2]
        last, whole = (batch, self.units), (batch, steps, self.units)
        output = whole if self.return_sequences else last
        return (output, last) if self.return_state else output

    def compute_mask(self, sequences, mask):
        """Return the masks of the results, in their structure and in the order of their steps."""
        mask = outgoing_mask(sequences, mask, self.go_backwards)
        output = mask if self.return_sequences else None
        return (output, None) if self.return_state else output

    def get_config(self):
        """Return every option, so that `from_config` makes an equal layer."""
        plain = {name: getattr(self, name) for name in _PLAIN_OPTIONS}
        objects = {name: kind.serialize(getattr(self, name)) for name, kind in _OBJECT_OPTIONS.items()}
        return {**super().get_config(), **plain, **objects}
