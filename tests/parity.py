"""What the tests of the layer compare, and how close it must be."""

import itertools
import random
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from gru_tf import reference
from gru_tf.runtimes import EVERYWHERE, FUSED

# Largest difference allowed, as a fraction of the largest expected value.
SAME = {"float32": 1e-5, "float64": 1e-12}
FINITE_DIFFERENCES = 1e-8  # what central differences in float64 leave of 16 digits, with some room
HALF_PRECISION = 0.03  # bfloat16 keeps three digits, and errors add up over the steps

# For each option of a cell a value that is not its default.
OTHER_CELL_VALUES = {
    "activation": "relu",
    "recurrent_activation": "hard_sigmoid",
    "use_bias": False,
    "kernel_initializer": "he_normal",
    "recurrent_initializer": "glorot_normal",
    "bias_initializer": "ones",
    "kernel_regularizer": "l1",
    "recurrent_regularizer": "l2",
    "bias_regularizer": "l1l2",
    "kernel_constraint": "max_norm",
    "recurrent_constraint": "unit_norm",
    "bias_constraint": "non_neg",
    "dropout": 0.25,
    "recurrent_dropout": 0.5,
    "reset_after": False,
    "seed": 7,
    "update_gate": "write",
    "implementation": 1,
}

MODES = {
    "eager": lambda function: function,
    # As `fit` and `predict` call a layer: no such graph is ever exported, and so any runtime may serve it.
    "graph": lambda function: tf.function(lambda *args, **more: tf.distribute.get_strategy().run(function, args, more)),
    "jit": lambda function: tf.function(function, jit_compile=True),
}


def per_runtime(rows, runtimes=EVERYWHERE):
    """The rows once for each runtime, a fused one without the options that it does not have."""
    return [{**row, "runtime": name, **(FUSED_HAS if name in FUSED else {})} for name in runtimes for row in rows]


FUSED_HAS = {"activation": "tanh", "recurrent_activation": "sigmoid", "unroll": False}


@dataclass(frozen=True)
class Problem:
    """Random inputs and weights, different for every gate, in float64."""

    sequences: np.ndarray
    initial_state: np.ndarray
    weights: list
    mask: np.ndarray | None

    @property
    def units(self):
        return self.initial_state.shape[1]


def problem(batch=4, steps=5, features=2, units=3, *, reset_after=True, use_bias=True, mask="none", seed=0):
    """A random problem; `mask` is a key of `MASKS` or an array."""
    random_values = np.random.default_rng(seed)
    shapes = [(features, 3 * units), (units, 3 * units)]
    if use_bias:
        shapes.append((2, 3 * units) if reset_after else (3 * units,))
    return Problem(
        sequences=random_values.normal(size=(batch, steps, features)),
        initial_state=random_values.normal(size=(batch, units)),
        weights=[random_values.normal(size=shape) for shape in shapes],
        mask=MASKS[mask](batch, steps) if isinstance(mask, str) else mask,
    )


def _lengths(batch, steps):
    """Numbers of real steps that differ between the rows, at least one."""
    return 1 + np.arange(batch)[:, None] % steps


def _right(batch, steps):
    return np.arange(steps) < _lengths(batch, steps)


def _middle(batch, steps):
    mask = np.ones((batch, steps), bool)
    mask[:, 1:-1:2] = False
    return mask


def _empty_row(batch, steps):
    mask = _right(batch, steps)
    mask[0] = False
    return mask


MASKS = {
    "none": lambda batch, steps: None,
    "right": _right,
    "left": lambda batch, steps: _right(batch, steps)[:, ::-1],
    "middle": _middle,
    "empty row": _empty_row,
    "all padded": lambda batch, steps: np.zeros((batch, steps), bool),
}


def load(layer, problem):
    """Build the layer for the problem and give it the problem's weights."""
    layer.build(problem.sequences.shape)
    layer.set_weights(problem.weights)
    return layer


def measure(layer, problem, mode="eager", **call_options):
    """Everything that a training step sees: results, and the gradients of their random weighted sum.

    Returns a dict from a name to an array.
    """
    sequences, state = (tf.constant(a, layer.compute_dtype) for a in (problem.sequences, problem.initial_state))
    mask = None if problem.mask is None else tf.constant(problem.mask)

    def compute(sequences, state, mask):
        with tf.GradientTape() as tape:
            tape.watch([sequences, state])
            results = keras.tree.flatten(layer(sequences, initial_state=state, mask=mask, **call_options))
            total = tf.add_n([tf.reduce_sum(_weighted(result)) for result in results])
        return results, tape.gradient(total, [sequences, state, *layer.trainable_weights])

    results, gradients = MODES[mode](compute)(sequences, state, mask)
    names = ["sequences", "initial_state", *(weight.name for weight in layer.trainable_weights)]
    measured = {f"result {i}": result.numpy() for i, result in enumerate(results)}
    for name, gradient in zip(names, gradients, strict=True):
        # A row of padding alone leaves some inputs without influence, and TensorFlow then says None.
        measured[f"gradient of {name}"] = None if gradient is None else gradient.numpy()
    return measured


def _weighted(result):
    """The result with a fixed random weight on each element, so that no two errors cancel in the sum."""
    weights = np.random.default_rng(99).normal(size=result.shape)
    return result * tf.constant(weights, result.dtype)


def assert_close(actual, expected, tolerance, name="array"):
    """Compare two arrays; `tolerance` is a fraction of the largest value expected."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{name}: shape {actual.shape} instead of {expected.shape}"
    error = np.max(np.abs(actual - expected), initial=0)
    limit = tolerance * np.max(np.abs(expected), initial=0)
    assert error <= limit, f"{name}: error {error:.2e} exceeds {limit:.2e}"


def assert_same(actual, expected, tolerance):
    """Compare two dicts of arrays with `assert_close`."""
    assert actual.keys() == expected.keys()
    for name, wanted in expected.items():
        got = actual[name]
        if wanted is None or got is None:
            assert got is wanted, name
            continue
        assert_close(got, wanted, tolerance, name)


def referee(problem, *, return_sequences=False, return_state=False, return_gates=False, **options):
    """What a layer with these options must return, from the NumPy reference, named as in `measure`."""
    outputs, state, gates = reference.gru(
        problem.sequences,
        *problem.weights,
        initial_state=problem.initial_state,
        mask=problem.mask,
        return_gates=True,
        **options,
    )
    results = [outputs if return_sequences else outputs[:, -1]]
    if return_state:
        results.append(state)
    if return_gates:
        results += [gates[name] for name in sorted(gates)]  # the order in which Keras flattens a dict
    return {f"result {i}": result for i, result in enumerate(results)}


def results_of(measured):
    return {name: value for name, value in measured.items() if name.startswith("result")}


def covering_rows(options, allowed=lambda row: True, seed=0):
    """Rows of options in which every allowed pair of values of two options meets at least once."""
    chance = random.Random(seed)

    def pairs(row):
        return set(itertools.combinations(row.items(), 2))

    missing = {
        pair
        for a, b in itertools.combinations(options, 2)
        for pair in itertools.product([(a, value) for value in options[a]], [(b, value) for value in options[b]])
    }
    rows = []
    while missing:
        wanted = dict(min(missing, key=str))
        drawn = [{name: wanted.get(name, chance.choice(values)) for name, values in options.items()} for _ in range(40)]
        best = max(filter(allowed, drawn), key=lambda row: len(missing & pairs(row)))
        rows.append(best)
        missing -= pairs(best)
    return rows
