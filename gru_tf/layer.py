"""`GRU`: the Keras layer. It prepares a call, hands it to a runtime and shapes what comes back."""

import inspect
from operator import attrgetter

import keras
from keras import ops

from gru_tf.cell import GATES, GRUCell
from gru_tf.runtimes import RUNTIMES, Call, choose, cudnn, wanted
from gru_tf.sequences import Steps, outgoing_mask


@keras.saving.register_keras_serializable(package="gru_tf")
class GRU(keras.layers.RNN):
    """Gated recurrent unit over sequences (B, T, I), with H = `units`.

    It computes the equations of `gru_tf.reference.step` at each step. Its arguments are those of
    `keras.layers.GRU`, in that order and with that meaning; its weights have the same names, shapes and
    order, so `get_weights` and `set_weights` pass between the two. It runs eagerly, in a `tf.function` and
    under `jit_compile=True`. What it adds is by keyword only:

    Args:
        update_gate: what an open update gate does: "keep" the old state, h_t = z ⊙ h_{t-1} + (1 - z) ⊙ c (Cho
            et al. 2014; Keras, PyTorch, cuDNN), or "write" the candidate, h_t = (1 - z) ⊙ h_{t-1} + z ⊙ c
            (Chung et al. 2014).
        return_gates: whether to return the sequences of the gates too.
        zero_output_for_mask: whether the output of a padded step is zeros instead of the last output.
        runtime: what carries the state through the steps; the values are the same. In order of preference: "cudnn" is
            cuDNN on a GPU, with any mask, where it agrees with "graph" in a small case, computed at the first call;
            "xla" a fused loop that XLA compiles for each shape, "graph" a fused loop for
            any shapes, "portable" a loop that serves every option. "auto" takes the first that nothing stands in the
            way of, and so does a name, from there on. In the way of "cudnn" and "xla" stands a graph that may be
            exported: a `tf.function` that is neither called with `training=True` nor run by
            `tf.distribute.Strategy.run`, as `fit`, `evaluate` and `predict` run theirs. So what is saved, served or
            converted runs on any device. In the way of "xla" stand debug modes and forward-mode derivatives too, and
            for "auto" eager calls, an unknown B or T, and more shapes than a few. Under `jit_compile=True` "auto" is
            "xla": pad batches to a few lengths there. TFLite converts a graph where the batch size is fixed,
            `input_signature=[tf.TensorSpec((1, None, I))]`, as of Keras's own GRU.
        use_cudnn: "auto" leaves the choice to `runtime`, False rules "cudnn" out, True insists on it. cuDNN serves
            `activation="tanh"`, `recurrent_activation="sigmoid"` and `reset_after=True`, without `unroll`,
            `recurrent_dropout` and `dropout` with `implementation=1`, and here, as in Keras, `use_bias=True`. Where
            "cudnn" may serve, Keras leaves the model out of XLA, as it does with its own layer.
        implementation: 1 draws one input dropout mask for each gate, any other value one for all three.

    Call arguments:
        sequences: (B, T, I), T >= 1; B may be 0. What stands in a padded step, finite or not, changes nothing. Or a
            `tf.RaggedTensor` of that shape, not under `jit_compile=True`: then sequences of results are ragged too.
        initial_state: h_0, (B, H), or a list of it, numbers as nested lists included; when None zeros, or with
            `stateful` the last state.
        mask: (B, T), False for a padded step, which leaves the state as it was. Any pattern will do, and rows
            without a real step: these keep h_0 and put out zeros. The mask that comes with the sequences, of an
            `Embedding(mask_zero=True)` say, holds with an initial state too (Keras's own GRU then drops it).
        training: whether dropout is applied.

    Returns:
        `output`, or the tuple `(output, state)` with `return_state`, `(output, gates)` with `return_gates`,
        or `(output, state, gates)` with both.

        - `output` is (B, H), the last one, or (B, T, H) with `return_sequences`. A padded step repeats the
          last output, or puts out zeros before the first real step and with `zero_output_for_mask`.
        - `state` is (B, H), the state after the last real step.
        - `gates` is a dict of `reset`, `update` and `candidate`, each the whole sequence (B, T, H), whatever
          `return_sequences` says; zeros at padded steps. An `activity_regularizer` sees them like any output,
          and wrappers that expect one output, such as `keras.layers.Bidirectional`, do not take them.

        With `go_backwards`, sequences come in the order in which they were computed, and so does the mask
        that Keras hands to the next layer (Keras itself leaves that mask in the order of the input).

    Attributes:
        units, activation, ...: every option of the cell, as of Keras's layer.
        served_by: the name of the runtime that served the last call or trace, None before the first.

    Raises:
        ValueError: for an argument out of its range, a `runtime` or `use_cudnn=True` with an option that it does
            not have, cuDNN insisted on where there is no GPU, under `jit_compile=True` or where it fails the small
            case, T = 0, and a mask or an initial state of a wrong shape. A T = 0 or a wrong shape that shows only when
            a graph runs raises `tf.errors.InvalidArgumentError`; nothing is broadcast.
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
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        reset_after=True,
        use_cudnn="auto",
        *,
        update_gate="keep",
        return_gates=False,
        zero_output_for_mask=False,
        runtime="auto",
        implementation=2,
        **kwargs,
    ):
        cell = GRUCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
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
            update_gate=update_gate,
            implementation=implementation,
            name="gru_cell",
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            zero_output_for_mask=zero_output_for_mask,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.use_cudnn = use_cudnn
        self.return_gates = return_gates
        self.runtime = runtime
        self.served_by = None
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.supports_masking = True  # from Keras 3.16 on, its RNN does not say so
        asked = wanted(cell, unroll, runtime, use_cudnn)
        if asked in ("auto", "cudnn") and use_cudnn and not cudnn.missing(cell, unroll) and cudnn.available():
            self.supports_jit = False  # or `compile(jit_compile="auto")` would choose XLA on a GPU

    def build(self, sequences_shape, initial_state_shape=None):
        """Create the weights, and with `stateful` the state, for sequences of shape (B, T, I)."""
        super().build(sequences_shape, initial_state_shape)
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: sequences_shape[-1]})

    def call(self, sequences, initial_state=None, mask=None, training=False, sequences_mask=None):
        """Run the unit over the sequences; arguments and results as in the class's description.

        `sequences_mask` is where Keras puts the mask that comes with the sequences when there is an initial state too.
        """
        if self.unroll and sequences.shape[1] is None:
            raise ValueError("unroll=True, but sequences has no static T: fix T, or pass unroll=False.")
        steps = Steps(sequences, sequences_mask if mask is None else mask, self.go_backwards)
        state = self._starting_state(initial_state, steps)
        state, recorded = self._run(steps.values, state, steps.mask, training)
        if self.stateful:
            self.states[0].assign(state)

        if self.return_sequences:
            output = steps.outputs(recorded.pop("state"), self.zero_output_for_mask)
        else:
            output = steps.last_output(state, self.zero_output_for_mask)
        return self._results(output, state, {name: steps.gates(gate) for name, gate in recorded.items()})

    def _run(self, sequences, state, mask, training):
        """Let a runtime carry the state through the sequences, all steps with the same dropout masks."""
        record = [*(["state"] if self.return_sequences else []), *(GATES if self.return_gates else [])]
        asked = wanted(self.cell, self.unroll, self.runtime, self.use_cudnn)
        self.served_by = choose(self.cell, Call(asked, self.unroll, sequences, state, training), self.use_cudnn)
        try:
            if training:
                self.cell.get_dropout_mask(sequences[:, 0])
                self.cell.get_recurrent_dropout_mask(state)
            return RUNTIMES[self.served_by].run(
                self.cell,
                sequences,
                state,
                mask,
                record=record,
                training=training,
                unroll=self.unroll,
            )
        finally:
            self.cell.reset_dropout_mask()
            self.cell.reset_recurrent_dropout_mask()

    def _results(self, output, state, gates):
        """What a call returns of these three: one of them alone, or a tuple."""
        results = [output]
        if self.return_state:
            results.append(state)
        if self.return_gates:
            results.append(gates)
        return tuple(results) if len(results) > 1 else output

    def _starting_state(self, initial_state, steps):
        """h_0 in the compute dtype: the one passed, the one kept since the last call, or zeros."""
        form = self.cell.units, self.compute_dtype
        state = steps.checked_state("initial_state", initial_state, *form)
        if state is None and self.stateful:
            state = steps.checked_state("the state of the last call (stateful=True)", self.states, *form)
        return self.get_initial_state(ops.shape(steps.values)[0])[0] if state is None else state

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        """Return the shapes of the results, in their structure."""
        batch, steps = sequences_shape[:2]
        last, whole = (batch, self.cell.units), (batch, steps, self.cell.units)
        output = whole if self.return_sequences else last
        return self._results(output, last, dict.fromkeys(GATES, whole))

    def compute_mask(self, sequences, mask):
        """Return the masks of the results, in their structure and in the order of their steps."""
        mask = outgoing_mask(sequences, mask, self.go_backwards)
        return self._results(mask if self.return_sequences else None, None, dict.fromkeys(GATES, mask))

    def get_config(self):
        """Return every option, so that `from_config` makes an equal layer."""
        base = super().get_config()
        del base["cell"]
        own = {
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            "use_cudnn": self.use_cudnn,
            "return_gates": self.return_gates,
            "runtime": self.runtime,
        }
        return {**self.cell.get_config(), **base, **own}

    @classmethod
    def from_config(cls, config):
        """Make a layer from what `get_config` returned."""
        return cls(**config)


for _name in list(inspect.signature(GRUCell).parameters)[:-1]:  # `GRU(4).units`, as of Keras's layer
    setattr(GRU, _name, property(attrgetter(f"cell.{_name}")))
