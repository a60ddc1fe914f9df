"""The fused runtimes: their backward of any order, their choice, their traces, and a fuzz of everything."""

import itertools
import os
import random
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from parity import FINITE_DIFFERENCES, MASKS, MODES, SAME, assert_close, assert_same, load, measure, problem, referee

from gru_tf import GRU
from gru_tf.runtimes import EVERYWHERE, FUSED, equations, fused

EVERYTHING = {"return_sequences": True, "return_state": True, "return_gates": True}
KERAS_GRADIENTS = 2e-4  # float32, against Keras's float32: a fraction of the largest


# ---- Second derivatives --------------------------------------------------------------------------


def loss_and_inputs(p, runtime, **options):
    """A loss of everything that the layer returns, not linear in it, as a function of all that it depends on."""
    layer = load(GRU(p.units, runtime=runtime, dtype="float64", **EVERYTHING, **options), p)
    mask = None if p.mask is None else tf.constant(p.mask)

    def loss(sequences, state, *weights):
        for weight, value in zip(layer.weights, weights, strict=True):
            weight.assign(value)
        with tf.GradientTape() as tape:
            tape.watch([sequences, state])
            results = keras.tree.flatten(layer(sequences, initial_state=state, mask=mask))
            total = tf.add_n([tf.reduce_sum(tf.sin((i + 2.0) * result)) for i, result in enumerate(results)])
        return tape.gradient(total, [sequences, state, *(weight.value for weight in layer.weights)])

    return layer, loss, [tf.constant(values) for values in (p.sequences, p.initial_state, *p.weights)]


@pytest.mark.parametrize("runtime", FUSED)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("reset_after", "update_gate", "mask", "training"),
    [(True, "keep", "middle", True), (False, "write", "empty row", True), (True, "write", "right", False)],
)
def test_hessian_vector_products_equal_central_differences_of_gradients(
    reset_after, update_gate, mask, training, mode, runtime
):
    p = problem(3, 4, reset_after=reset_after, mask=mask)
    layer, gradients, inputs = loss_and_inputs(p, runtime, reset_after=reset_after, update_gate=update_gate)
    random_values = np.random.default_rng(1)
    direction = [tf.constant(random_values.normal(size=value.shape)) for value in inputs]

    @MODES[mode]
    def hessian_vector_product(sequences, state):
        weights = [weight.value for weight in layer.weights]
        with tf.GradientTape() as outer:
            outer.watch([sequences, state])
            mask = None if p.mask is None else tf.constant(p.mask)
            with tf.GradientTape() as tape:
                tape.watch([sequences, state])
                results = keras.tree.flatten(layer(sequences, initial_state=state, mask=mask, training=training))
                total = tf.add_n([tf.reduce_sum(tf.sin((i + 2.0) * result)) for i, result in enumerate(results)])
            first = tape.gradient(total, [sequences, state, *weights])
            product = tf.add_n([tf.reduce_sum(g * d) for g, d in zip(first, direction, strict=True)])
        return outer.gradient(product, [sequences, state, *weights])

    actual = hessian_vector_product(*inputs[:2])
    step = 1e-5
    above, below = (
        gradients(*(v + sign * step * d for v, d in zip(inputs, direction, strict=True))) for sign in (1, -1)
    )
    for got, a, b in zip(actual, above, below, strict=True):
        assert_close(got, (a - b) / (2 * step), FINITE_DIFFERENCES)


@pytest.mark.parametrize("reset_after", [True, False])
def test_a_third_derivative_equals_central_differences_of_the_second(reset_after):
    p = problem(2, 3, reset_after=reset_after)
    layer = load(GRU(p.units, runtime="graph", reset_after=reset_after, dtype="float64"), p)
    direction = tf.constant(np.random.default_rng(1).normal(size=p.sequences.shape))

    @tf.function
    def derivatives(s):
        """d/ds of the loss at sequences + s · direction: of order two and three."""
        with tf.GradientTape() as third:
            third.watch(s)
            with tf.GradientTape() as second:
                second.watch(s)
                with tf.GradientTape() as first:
                    first.watch(s)
                    loss = tf.reduce_sum(tf.sin(2.0 * layer(p.sequences + s * direction)))
                slope = first.gradient(loss, s)
            curvature = second.gradient(slope, s)
        return curvature, third.gradient(curvature, s)

    step = 1e-5
    above, below = (derivatives(tf.constant(s, tf.float64))[0] for s in (step, -step))
    _, actual = derivatives(tf.constant(0.0, tf.float64))
    assert_close(actual, (above - below) / (2 * step), FINITE_DIFFERENCES)


@pytest.mark.parametrize("options", [{"reset_after": True}, {"reset_after": False}], ids=str)
def test_second_derivatives_with_recurrent_dropout_equal_those_of_the_portable_runtime(options):
    p = problem(**options)
    penalties = []
    for runtime in ("portable", *FUSED):
        layer = load(
            GRU(p.units, recurrent_dropout=0.5, dropout=0.3, seed=3, runtime=runtime, dtype="float64", **options), p
        )

        @tf.function
        def penalty_gradients(x, layer=layer):
            weights = [weight.value for weight in layer.trainable_weights]
            with tf.GradientTape() as outer:
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    total = tf.reduce_sum(layer(x, training=True))
                penalty = tf.reduce_sum(tape.gradient(total, x) ** 2)
            return outer.gradient(penalty, weights)

        penalties.append(penalty_gradients(tf.constant(p.sequences)))
    for other in penalties[1:]:
        for got, expected in zip(other, penalties[0], strict=True):
            assert_close(got, expected, SAME["float64"] * 10)


# ---- Errors put into the backward on purpose -----------------------------------------------------


def _scaled(method, index):
    """A mutant of a method whose result at `index` of its first part has the wrong sign."""

    def mutate(unit):
        right = getattr(unit, method)

        def wrong(self, *args):
            values, rest = right(self, *args)
            return tuple(-v if i == index else v for i, v in enumerate(values)), rest

        return method, wrong

    return mutate


def _dropped(method, index):
    """A mutant of M or Mᵀ that ignores one coefficient."""

    def mutate(unit):
        right = getattr(unit, method)
        return method, lambda self, values, *c: right(
            self, values, *(0 * v if i == index else v for i, v in enumerate(c))
        )

    return mutate


BACKWARD_MUTANTS = {f"coefficient {i} with the wrong sign": _scaled("coefficients", i) for i in range(1, 4)}
BACKWARD_MUTANTS |= {f"coefficient {i} dropped from Mᵀ": _dropped("transposed", i) for i in range(4)}
UNITS = {True: equations.ResetAfter, False: equations.ResetBefore}


def first_derivatives_agree(reset_after):
    p = problem(3, 4, reset_after=reset_after)
    common = {"reset_after": reset_after, "dtype": "float64", **EVERYTHING}
    ours, expected = (measure(load(GRU(p.units, runtime=r, **common), p), p, "graph") for r in ("graph", "portable"))
    assert_same(ours, expected, SAME["float64"])


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("mutant", BACKWARD_MUTANTS)
def test_an_error_in_the_backward_is_caught(mutant, reset_after, monkeypatch):
    monkeypatch.setattr(UNITS[reset_after], *BACKWARD_MUTANTS[mutant](UNITS[reset_after]))
    with pytest.raises(AssertionError, match="gradient of .* exceeds"):
        first_derivatives_agree(reset_after)


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("index", range(4))
def test_an_error_in_the_second_derivatives_is_caught(index, reset_after, monkeypatch):
    check = test_hessian_vector_products_equal_central_differences_of_gradients
    monkeypatch.setattr(UNITS[reset_after], *_dropped("moved", index)(UNITS[reset_after]))
    with pytest.raises(AssertionError, match="exceeds"):
        check(reset_after, "keep", "none", False, "graph", "graph")


@pytest.mark.parametrize("reset_after", [True, False])
def test_a_weight_gradient_without_one_step_is_caught(reset_after, monkeypatch):
    right = equations._outer
    monkeypatch.setattr(equations, "_outer", lambda h, d: right(h[1:], d[1:]))
    with pytest.raises(AssertionError, match="gradient of recurrent_kernel.* exceeds"):
        first_derivatives_agree(reset_after)


def test_padding_that_does_not_hold_the_update_gate_open_is_caught(monkeypatch):
    right = fused.project
    monkeypatch.setattr(fused, "project", lambda *args: tf.minimum(right(*args), 3.0))
    p = problem(mask="middle")
    layer = load(GRU(p.units, runtime="graph", dtype="float64"), p)
    with pytest.raises(AssertionError, match="exceeds"):
        assert_same({"result 0": layer(p.sequences, initial_state=p.initial_state, mask=p.mask)}, referee(p), 1e-6)


# ---- The choice, and the traces ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "options", "expected"),
    [
        ("eager", {}, "graph"),
        ("graph", {}, "xla"),
        ("jit", {}, "xla"),
        ("graph", {"activation": "relu"}, "portable"),
        ("jit", {"recurrent_activation": "hard_sigmoid"}, "portable"),
        ("graph", {"unroll": True}, "portable"),
        ("eager", {"runtime": "xla"}, "xla"),
        ("jit", {"runtime": "graph"}, "graph"),
        ("graph", {"runtime": "portable"}, "portable"),
    ],
)
def test_the_layer_says_which_runtime_served_the_call(mode, options, expected):
    p = problem()
    layer = load(GRU(p.units, **options), p)
    assert layer.served_by is None
    assert layer.runtime == options.get("runtime", "auto")
    MODES[mode](layer)(tf.constant(p.sequences, "float32"))
    assert layer.served_by == expected


@pytest.mark.parametrize("shape", [(None, 5, 2), (4, None, 2), (None, None, 2)])
def test_shapes_that_change_are_served_without_xla(shape):
    layer = GRU(3)
    tf.function(layer, input_signature=[tf.TensorSpec(shape)])(tf.zeros((4, 5, 2)))
    assert layer.served_by == "graph"


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_compiled_model_is_served_by_xla(jit_compile):
    layer = GRU(3)
    model = keras.Sequential([keras.Input((5, 2)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=jit_compile)
    model.fit(np.ones((7, 5, 2)), np.ones((7, 1)), batch_size=4, verbose=0)
    assert layer.served_by == ("xla" if jit_compile else "graph")


def test_an_activation_set_after_the_layer_was_made_is_refused_too():
    layer = GRU(3, runtime="graph")
    layer.cell.activation = keras.activations.relu
    with pytest.raises(ValueError, match="runtime='graph' has no activation='relu'"):
        layer(np.zeros((4, 5, 2)))


@pytest.mark.parametrize("runtime", EVERYWHERE)
def test_a_model_with_unknown_batch_and_length_is_traced_once(runtime, monkeypatch):
    calls = []
    right = EVERYWHERE[runtime].run
    monkeypatch.setattr(EVERYWHERE[runtime], "run", lambda *args, **options: calls.append(1) or right(*args, **options))
    call = tf.function(GRU(3, runtime=runtime), input_signature=[tf.TensorSpec((None, None, 2))])
    for batch, steps in itertools.product((1, 4), (1, 2, 7)):
        call(tf.zeros((batch, steps, 2)))
    assert len(calls) <= 2  # the first trace of a tf.function may be repeated after variables are made


def test_eager_calls_of_many_shapes_share_a_few_traces(monkeypatch):
    traces = []
    right = fused.state_sequence
    monkeypatch.setattr(fused, "state_sequence", lambda *args: traces.append(1) or right(*args))
    layer = GRU(3, runtime="graph", return_state=True, update_gate="write")
    for batch, steps in itertools.product((1, 2, 3), (2, 3, 5, 9)):
        layer(tf.zeros((batch, steps, 2)))
    assert len(traces) <= 4


STEPS_ON_NEW_DATA = """
import tensorflow as tf
from gru_tf import GRU

layer = GRU(3, dropout=0.5, recurrent_dropout=0.5, runtime="xla")
layer.build((4, 5, 2))

@tf.function(jit_compile={jit_compile})
def gradients(x):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, training=True))
    return tape.gradient(loss, layer.trainable_weights)

for _ in range(3):
    gradients(tf.random.normal((4, 5, 2)))
"""


@pytest.mark.parametrize(("jit_compile", "programs"), [(True, 1), (False, 2)])
def test_a_training_step_is_compiled_once_whatever_the_data(jit_compile, programs, tmp_path):
    # Where a shape reached XLA through what the data are computed from, each batch had a program of its own.
    script = STEPS_ON_NEW_DATA.format(jit_compile=jit_compile)
    environment = {**os.environ, "XLA_FLAGS": f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text"}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True)
    assert len(list(tmp_path.glob("*before_optimizations.txt"))) == programs


# ---- Numbers at the edge -------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", FUSED)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float32"])
def test_large_inputs_give_finite_results(policy, runtime):
    p = problem(mask="middle")
    layer = load(GRU(p.units, runtime=runtime, dtype=policy, return_sequences=True), p)
    sequences = 1e4 * np.sign(p.sequences)
    output = layer(sequences, mask=p.mask).numpy().astype("float64")
    assert np.isfinite(output).all()
    assert np.abs(output).max() <= 1


@pytest.mark.parametrize("runtime", FUSED)
def test_padding_keeps_a_large_state_to_the_last_digit(runtime):
    p = problem(mask="all padded")
    layer = load(GRU(p.units, runtime=runtime, return_state=True), p)
    start = tf.constant(1e6 * p.initial_state, "float32")
    _, state = layer(np.full_like(p.sequences, np.nan), initial_state=start, mask=p.mask)
    np.testing.assert_array_equal(state, start)


@pytest.mark.parametrize("runtime", FUSED)
def test_five_thousand_steps(runtime):
    p = problem(1, 5000, 2, 2)
    layer = load(GRU(p.units, runtime=runtime), p)
    measured = measure(layer, p, "graph")
    assert_close(measured["result 0"], referee(p)["result 0"], SAME["float32"])
    assert all(np.isfinite(value).all() for value in measured.values())


# ---- Fuzz ----------------------------------------------------------------------------------------

FUZZ = int(os.environ.get("GRU_FUZZ", "12"))  # configurations; 500 before a release


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FUZZ))
def test_a_random_configuration(seed):
    chance = random.Random(seed)
    shape = [chance.choice([1, 2, 3, 7]) for _ in range(2)] + [chance.randint(1, 9) for _ in range(2)]
    reset_after, use_bias, zero = (chance.random() < 0.5 for _ in range(3))
    mask = chance.choice([*MASKS, np.random.default_rng(seed).random(shape[:2]) < 0.6])
    p = problem(*shape, reset_after=reset_after, use_bias=use_bias, mask=mask, seed=seed)
    options = {"reset_after": reset_after, "use_bias": use_bias, "zero_output_for_mask": zero}
    options |= {name: chance.random() < 0.5 for name in ("go_backwards", "return_sequences", "return_state")}
    runtime, mode = chance.choice(["auto", *FUSED]), chance.choice(list(MODES))
    ours, theirs = load(GRU(p.units, runtime=runtime, **options), p), load(keras.layers.GRU(p.units, **options), p)
    measured, of_keras = measure(ours, p, mode), measure(theirs, p, "graph")
    del options["use_bias"]
    expected = referee(p, **options)
    assert_same({name: measured[name] for name in expected}, expected, SAME["float32"])
    gradients = measured.keys() - expected.keys()
    assert_same({n: measured[n] for n in gradients}, {n: of_keras[n] for n in gradients}, KERAS_GRADIENTS)
