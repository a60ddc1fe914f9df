"""A small fixed case that two runtimes compute, to see whether they agree on this machine."""

from types import SimpleNamespace

import numpy as np
import tensorflow as tf

# The largest difference, as a fraction of the largest value. A GPU may take products of float32 in TensorFloat-32,
# which keeps three digits.
TOLERANCE = {"bfloat16": 0.03, "float16": 0.03, "float32": 0.01, "float64": 1e-9}

# Rows without padding, with padding right, left and in between, and of padding alone.
_MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]], bool)
_SHAPES = {
    "sequences": (5, 4, 2),
    "initial state": (5, 3),
    "kernel": (2, 9),
    "recurrent kernel": (3, 9),
    "bias": (2, 9),
}


def difference(run, trusted, dtype):
    """Where `run` differs from the runtime `trusted` by more than `TOLERANCE`, as text, or None."""
    for mask, masked in ((None, "no mask"), (tf.constant(_MASK), "a mask")):
        expected = _measured(trusted, dtype, mask, training=True)
        for training in (False, True):
            actual = _measured(run, dtype, mask, training)
            for name, values in expected.items():
                error = np.max(np.abs(actual[name] - values)) / np.max(np.abs(values))
                if not error <= TOLERANCE[dtype]:
                    where = f"with {masked} and training={training}, {name} differs"
                    return f"{where} by {error:.2g} of the largest value, and {TOLERANCE[dtype]} is allowed"
    return None


def _measured(run, dtype, mask, training):
    """The states and the gradients of a run, by name, in float64."""
    chance = np.random.default_rng(0)
    inputs = {name: tf.constant(chance.normal(size=shape), dtype) for name, shape in _SHAPES.items()}
    cell = SimpleNamespace(
        kernel=inputs["kernel"],
        recurrent_kernel=inputs["recurrent kernel"],
        bias=inputs["bias"],
        reset_after=True,
        update_gate="keep",
        get_dropout_mask=lambda _: None,
        get_recurrent_dropout_mask=lambda _: None,
    )
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        last, recorded = run(
            cell, inputs["sequences"], inputs["initial state"], mask, record=["state"], training=training
        )
        states = {"the last state": last, "the states": recorded["state"]}
    upstream = {name: tf.constant(chance.normal(size=values.shape), dtype) for name, values in states.items()}
    gradients = tape.gradient(states, inputs, upstream, unconnected_gradients="zero")
    measured = {**states, **{f"the gradient of the {name}": gradient for name, gradient in gradients.items()}}
    return {name: tf.cast(values, tf.float64).numpy() for name, values in measured.items()}
