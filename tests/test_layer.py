"""`GRU` against `keras.layers.GRU` and against the reference, over its options, modes, masks and wrappers."""

import inspect
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from parity import (
    FINITE_DIFFERENCES,
    HALF_PRECISION,
    MASKS,
    MODES,
    OTHER_CELL_VALUES,
    SAME,
    assert_close,
    assert_same,
    covering_rows,
    load,
    measure,
    per_runtime,
    problem,
    referee,
    results_of,
)

from gru_tf import GRU, reference
from gru_tf.runtimes import EVERYWHERE, cudnn

GATES = ("reset", "update", "candidate")


# ---- Parity with Keras: results, states and gradients --------------------------------------------

GRID = {
    "mode": list(MODES),
    "mask": list(MASKS),
    "dtype": list(SAME),
    "shape": [(4, 5, 2, 3), (2, 4, 3, 1), (1, 6, 2, 2), (3, 1, 1, 4)],  # B, T, I, H
    "reset_after": [True, False],
    "use_bias": [True, False],
    "return_sequences": [True, False],
    "return_state": [True, False],
    "go_backwards": [True, False],
    "unroll": [True, False],
    "zero_output_for_mask": [True, False],
    "activation": ["tanh", "softsign"],
    "recurrent_activation": ["sigmoid", "hard_sigmoid"],
}


def keras_is_right(row):
    """Unrolled and backwards, Keras zeroes the outputs of the steps padded in the *forward* order."""
    return not (row["unroll"] and row["go_backwards"] and row["zero_output_for_mask"] and row["mask"] != "none")


@pytest.mark.slow
@pytest.mark.parametrize(
    "row", per_runtime(covering_rows(GRID, keras_is_right)), ids=lambda row: "-".join(map(str, row.values()))
)
def test_results_and_gradients_equal_those_of_keras(row):
    options = dict(row)
    mode, mask, shape, runtime = (options.pop(name) for name in ("mode", "mask", "shape", "runtime"))
    p = problem(*shape, reset_after=row["reset_after"], use_bias=row["use_bias"], mask=mask)
    ours, theirs = load(GRU(p.units, runtime=runtime, **options), p), load(keras.layers.GRU(p.units, **options), p)
    assert [(w.name, w.shape) for w in ours.weights] == [(w.name, w.shape) for w in theirs.weights]
    assert_same(measure(ours, p, mode), measure(theirs, p, "graph"), SAME[row["dtype"]])
    assert ours.served_by == runtime


def test_the_case_in_which_keras_zeroes_the_wrong_steps():
    p = problem(mask="right")
    options = {"unroll": True, "go_backwards": True, "zero_output_for_mask": True, "return_sequences": True}
    real = p.mask[:, ::-1]
    ours, theirs = (
        load(layer_class(p.units, **options), p)(p.sequences, mask=p.mask).numpy()
        for layer_class in (GRU, keras.layers.GRU)
    )
    assert not ours[~real].any()
    assert ours[real].all()
    assert not theirs[real].all()


# ---- Parity with the reference, in float64 -------------------------------------------------------


FLAGS = {
    "mask": list(MASKS),
    "reset_after": [True, False],
    "use_bias": [True, False],
    "update_gate": ["keep", "write"],
    "go_backwards": [False, True],
    "zero_output_for_mask": [False, True],
    "mode": list(MODES),
}


@pytest.mark.parametrize("row", per_runtime(covering_rows(FLAGS)), ids=lambda row: "-".join(map(str, row.values())))
def test_results_and_gates_equal_the_reference(row):
    p = problem(steps=4, reset_after=row["reset_after"], use_bias=row["use_bias"], mask=row["mask"])
    flags = {name: row[name] for name in ("reset_after", "update_gate", "go_backwards", "zero_output_for_mask")}
    flags |= {"return_sequences": True, "return_state": True, "return_gates": True}
    layer = load(GRU(p.units, use_bias=row["use_bias"], runtime=row["runtime"], dtype="float64", **flags), p)
    sequences, state = tf.constant(p.sequences), tf.constant(p.initial_state)
    call = MODES[row["mode"]](lambda: layer(sequences, initial_state=state, mask=p.mask))
    actual = {f"result {i}": result.numpy() for i, result in enumerate(keras.tree.flatten(call()))}
    assert_same(actual, referee(p, **flags), SAME["float64"])


@given(data=st.data())
def test_any_shape_any_mask_any_flags_equal_the_reference(data):
    batch, steps, features, units = (data.draw(st.integers(1, 5), label=name) for name in "BTIH")
    flags = {
        name: data.draw(st.booleans(), label=name)
        for name in (
            "reset_after",
            "go_backwards",
            "zero_output_for_mask",
            "return_sequences",
            "return_state",
            "return_gates",
        )
    }
    flags["update_gate"] = data.draw(st.sampled_from(["keep", "write"]))
    runtime, use_bias = data.draw(st.sampled_from(list(EVERYWHERE))), data.draw(st.booleans())
    unroll = runtime == "portable" and data.draw(st.booleans())
    p = problem(
        batch,
        steps,
        features,
        units,
        reset_after=flags["reset_after"],
        use_bias=use_bias,
        mask=data.draw(st.none() | hnp.arrays(bool, (batch, steps)), label="mask"),
        seed=data.draw(st.integers(0, 99)),
    )
    layer = load(GRU(units, runtime=runtime, unroll=unroll, use_bias=use_bias, dtype="float64", **flags), p)
    results = keras.tree.flatten(layer(p.sequences, initial_state=p.initial_state, mask=p.mask))
    actual = {f"result {i}": result.numpy() for i, result in enumerate(results)}
    assert_same(actual, referee(p, **flags), SAME["float64"])


@pytest.mark.parametrize("runtime", EVERYWHERE)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("reset_after", "update_gate", "mask"),
    [
        (True, "keep", "empty row"),
        (True, "write", "left"),
        (False, "keep", "middle"),
        (False, "write", "none"),
    ],
)
def test_gradients_equal_central_differences_of_the_reference(reset_after, update_gate, mask, mode, runtime):
    p = problem(3, 4, reset_after=reset_after, mask=mask)
    common = {"reset_after": reset_after, "update_gate": update_gate, "return_sequences": True}
    common |= {"return_state": True, "return_gates": True}
    layer = load(GRU(p.units, runtime=runtime, dtype="float64", **common), p)
    measured = measure(layer, p, mode)
    assert_same(results_of(measured), referee(p, **common), SAME["float64"])

    def total():
        results = referee(p, **common).values()
        return sum(np.sum(np.random.default_rng(99).normal(size=r.shape) * r) for r in results)

    arrays = {"sequences": p.sequences, "initial_state": p.initial_state}
    arrays |= {weight.name: value for weight, value in zip(layer.weights, p.weights, strict=True)}
    expected = {f"gradient of {name}": central_differences(total, array) for name, array in arrays.items()}
    actual = {name: measured[name] for name in expected}
    assert_same(actual, expected, FINITE_DIFFERENCES)


def central_differences(function, array, step=1e-5):
    """The gradient of `function()` by every element of the array, which it reads."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + step
        above = function()
        array[index] = value - step
        below = function()
        array[index] = value
        gradient[index] = (above - below) / (2 * step)
    return gradient


# ---- Gates ---------------------------------------------------------------------------------------


def test_gates_come_last_and_whole_whatever_else_is_returned():
    p = problem()
    for return_sequences, return_state in itertools.product([True, False], repeat=2):
        layer = load(GRU(p.units, return_sequences=return_sequences, return_state=return_state, return_gates=True), p)
        *results, gates = layer(p.sequences)
        shapes = [(4, 5, 3) if return_sequences else (4, 3)] + [(4, 3)] * return_state
        assert [tuple(result.shape) for result in results] == shapes
        assert {name: tuple(gate.shape) for name, gate in gates.items()} == dict.fromkeys(GATES, (4, 5, 3))
        assert layer.compute_output_shape((4, 5, 2)) == (*shapes, dict.fromkeys(GATES, (4, 5, 3)))


def test_the_gates_explain_the_outputs():
    p = problem()
    layer = load(GRU(p.units, return_sequences=True, return_gates=True, dtype="float64"), p)
    outputs, gates = layer(p.sequences, initial_state=p.initial_state)
    before = np.concatenate([p.initial_state[:, None], outputs[:, :-1]], axis=1)
    rebuilt = gates["update"] * before + (1 - gates["update"]) * gates["candidate"]
    assert_close(outputs, rebuilt, SAME["float64"])


def test_gates_in_a_functional_model_with_unknown_batch_and_length():
    p = problem()
    inputs = keras.Input((None, 2))
    layer = GRU(p.units, return_state=True, return_gates=True)
    output, state, gates = layer(inputs)
    assert output.shape == state.shape == (None, 3)
    assert {name: gate.shape for name, gate in gates.items()} == dict.fromkeys(GATES, (None, None, 3))
    model = keras.Model(inputs, {"state": state, **gates})
    layer.set_weights(p.weights)
    predicted = model.predict(p.sequences, verbose=0)
    _, _, expected = reference.gru(p.sequences, *p.weights, return_gates=True)
    for name in GATES:
        assert_close(predicted[name], expected[name], SAME["float32"])


def test_gates_of_a_stateful_layer_continue():
    p = problem()
    layer = load(GRU(p.units, stateful=True, return_gates=True, dtype="float64"), p)
    whole = load(GRU(p.units, return_gates=True, dtype="float64"), p)
    _, first = layer(p.sequences[:, :2])
    _, second = layer(p.sequences[:, 2:])
    _, expected = whole(p.sequences)
    for name in GATES:
        joined = np.concatenate([first[name], second[name]], axis=1)
        assert_close(joined, expected[name], SAME["float64"])


# ---- The names of what ran, and drop-in use ------------------------------------------------------


def test_it_inherits_from_no_gru_of_keras():
    assert not issubclass(GRU, keras.layers.GRU)


def test_the_constructor_takes_the_arguments_of_keras_in_their_order():
    ours, theirs = (list(inspect.signature(layer_class).parameters.values()) for layer_class in (GRU, keras.layers.GRU))
    assert ours[: len(theirs) - 1] == theirs[:-1]


OTHER_VALUES = OTHER_CELL_VALUES | {
    "activity_regularizer": "l2",
    "return_sequences": True,
    "return_state": True,
    "go_backwards": True,
    "stateful": True,
    "unroll": True,
    "use_cudnn": False,
    "return_gates": True,
    "zero_output_for_mask": True,
    "runtime": "xla",
    # These reach Keras's base class through **kwargs.
    "name": "named",
    "dtype": "float64",
    "trainable": False,
}


@pytest.mark.parametrize("name", [*list(inspect.signature(GRU).parameters)[1:-1], "name", "dtype", "trainable"])
def test_the_config_keeps_every_option(name):
    default = GRU(3).get_config()
    config = GRU(3, **{name: OTHER_VALUES[name]}).get_config()
    assert config[name] != default[name]
    assert GRU.from_config(config).get_config() == config


def test_every_attribute_of_keras_is_there():
    ours, theirs = GRU(3, dropout=0.2), keras.layers.GRU(3, dropout=0.2)
    options = [name for name, value in vars(keras.layers.GRU).items() if isinstance(value, property)]
    assert len(options) >= 16
    for name in options:
        assert repr(getattr(ours, name)).split(" at ")[0] == repr(getattr(theirs, name)).split(" at ")[0], name
    assert ours.update_gate == "keep"


def test_a_config_of_keras_makes_our_layer():
    config = keras.layers.GRU(3, reset_after=False, dropout=0.2, name="theirs").get_config()
    ours = GRU.from_config(config).get_config()
    assert {name: ours[name] for name in config} == config


def test_a_saved_model_computes_the_same_after_loading(tmp_path):
    p = problem()
    inputs = keras.Input((None, 2))
    layer = GRU(p.units, update_gate="write", return_gates=True, go_backwards=True, activation="softsign")
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights(p.weights)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[1].get_config() == layer.get_config()
    for ours, again in zip(*(keras.tree.flatten(m(p.sequences)) for m in (model, loaded)), strict=True):
        np.testing.assert_array_equal(ours, again)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_training_equals_training_with_keras(jit_compile):
    p = problem(batch=8, mask="empty row")
    histories = []
    for layer_class in (GRU, keras.layers.GRU):
        layer = load(layer_class(p.units), p)
        model = keras.Sequential([keras.Input((5, 2)), keras.layers.Masking(), layer, keras.layers.Dense(1)])
        model.layers[-1].set_weights([np.ones((3, 1)), np.zeros(1)])
        model.compile("adam", "mse", jit_compile=jit_compile)
        sequences = p.sequences * p.mask[..., None]
        history = model.fit(sequences, p.initial_state[:, :1], epochs=5, shuffle=False, verbose=0)
        histories.append(history.history["loss"])
    assert_close(*histories, SAME["float32"])
    assert histories[0][-1] < histories[0][0]


def test_a_default_layer_supports_jit():
    assert GRU(3).supports_jit


# ---- State ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", EVERYWHERE)
@pytest.mark.parametrize("mode", MODES)
def test_a_stateful_layer_equals_keras_call_after_call(mode, runtime):
    p = problem(mask="right")
    options = {"stateful": True, "return_sequences": True}
    ours, theirs = load(GRU(p.units, runtime=runtime, **options), p), load(keras.layers.GRU(p.units, **options), p)
    call = MODES[mode](lambda x, mask: ours(x, mask=mask))
    x, mask = tf.constant(p.sequences, "float32"), tf.constant(p.mask)
    for _ in range(3):
        assert_close(call(x, mask), theirs(x, mask=mask), SAME["float32"])
    assert_close(ours.states[0], theirs.states[0], SAME["float32"])
    ours.reset_state()
    assert not np.any(ours.states[0])


def test_the_initial_state_may_be_a_list():
    p = problem()
    layer = load(GRU(p.units), p)
    np.testing.assert_array_equal(
        layer(p.sequences, initial_state=p.initial_state), layer(p.sequences, initial_state=[p.initial_state])
    )


def test_a_symbolic_initial_state_in_a_functional_model():
    p = problem()
    inputs, start = keras.Input((None, 2)), keras.Input((3,))
    layer = GRU(p.units)
    model = keras.Model([inputs, start], layer(inputs, initial_state=start))
    layer.set_weights(p.weights)
    predicted = model.predict([p.sequences, p.initial_state], verbose=0)
    assert_close(predicted, referee(p)["result 0"], SAME["float32"])


# ---- Masks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", EVERYWHERE)
def test_what_stands_in_a_padded_step_does_not_matter(runtime):
    p = problem(mask="middle")
    layer = load(GRU(p.units, runtime=runtime, return_sequences=True), p)
    other = np.where(p.mask[..., None], p.sequences, 1e3)
    np.testing.assert_array_equal(layer(p.sequences, mask=p.mask), layer(other, mask=p.mask))


def test_a_mask_of_numbers_is_a_mask():
    p = problem(mask="left")
    layer = load(GRU(p.units), p)
    np.testing.assert_array_equal(layer(p.sequences, mask=p.mask), layer(p.sequences, mask=p.mask.astype("float32")))


@pytest.mark.parametrize("go_backwards", [False, True])
def test_the_mask_handed_on_is_in_the_order_of_the_outputs(go_backwards):
    p = problem(mask="right")
    layer = load(
        GRU(p.units, go_backwards=go_backwards, return_sequences=True, return_state=True, return_gates=True),
        p,
    )
    sequences = keras.layers.Masking()(p.sequences * p.mask[..., None])
    output, state, gates = layer(sequences)
    expected = p.mask[:, ::-1] if go_backwards else p.mask
    for sequence in (output, *gates.values()):
        np.testing.assert_array_equal(sequence._keras_mask, expected)
    assert getattr(state, "_keras_mask", None) is None


def test_two_backward_layers_in_a_functional_model_skip_the_padding():
    p = problem(mask="right")
    inputs = keras.Input((None, 2))
    first, second = GRU(3, return_sequences=True, go_backwards=True), GRU(3, go_backwards=True)
    model = keras.Model(inputs, second(first(keras.layers.Masking()(inputs))))
    predicted = model.predict(p.sequences * p.mask[..., None], verbose=0)
    for row, real in enumerate(p.mask):
        alone = model.predict(p.sequences[row : row + 1, real], verbose=0)
        assert_close(predicted[row : row + 1], alone, SAME["float32"])


# ---- Dropout -------------------------------------------------------------------------------------

DROPOUTS = [{"dropout": 0.5}, {"dropout": 0.5, "implementation": 1}, {"recurrent_dropout": 0.5}]
DROPOUTS += [{"dropout": 0.3, "recurrent_dropout": 0.3, "reset_after": reset_after} for reset_after in (True, False)]


@pytest.mark.parametrize("runtime", EVERYWHERE)
@pytest.mark.parametrize("options", DROPOUTS, ids=str)
def test_dropout_with_a_seed_equals_keras(options, runtime):
    p = problem(reset_after=options.get("reset_after", True))
    # With "auto" and implementation=1, Keras multiplies the whole sequence by a list of masks, and fails.
    theirs = load(keras.layers.GRU(p.units, seed=3, use_cudnn=False, **options), p)
    ours = load(GRU(p.units, seed=3, runtime=runtime, **options), p)
    for _ in range(2):
        assert_same(measure(ours, p, training=True), measure(theirs, p, training=True), SAME["float32"])


@pytest.mark.parametrize("runtime", EVERYWHERE)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", DROPOUTS[:3], ids=str)
def test_dropout_masks_are_fresh_for_each_call_and_off_at_inference(options, mode, runtime):
    p = problem(batch=40)  # so many masks are not equal by chance
    layer, without = load(GRU(p.units, runtime=runtime, **options), p), load(GRU(p.units, runtime=runtime), p)
    x = tf.constant(p.sequences, "float32")
    train = MODES[mode](lambda x: layer(x, training=True))
    assert np.abs(train(x) - train(x)).max() > 1e-3
    np.testing.assert_array_equal(layer(x), without(x))


@pytest.mark.parametrize("runtime", EVERYWHERE)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", DROPOUTS[:3], ids=str)
def test_dropout_masks_hold_for_all_steps_of_a_call(options, mode, runtime):
    # Equal inputs, and a state that an open update gate keeps, give equal reset gates if no mask changes.
    p = problem(batch=40, steps=8)
    layer = load(GRU(p.units, return_gates=True, runtime=runtime, **options), p)
    layer.cell.bias.assign(np.where(np.arange(9) < 3, 1e3, 0.0) * np.ones((2, 1)))
    call = MODES[mode](lambda x, state: layer(x, initial_state=state, training=True))
    _, gates = call(tf.ones((40, 8, 2)), tf.ones((40, 3)))
    reset = gates["reset"].numpy()
    assert_close(reset, np.broadcast_to(reset[:, :1], reset.shape), SAME["float32"])
    assert len(np.unique(reset[:, 0], axis=0)) > 1  # the rows have masks of their own


def test_a_call_that_fails_leaves_no_dropout_mask_behind():
    p = problem()
    layer = load(GRU(p.units, dropout=0.5, recurrent_dropout=0.5), p)
    layer.cell.activation = lambda values: tf.ensure_shape(values, (0, 0))
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        layer(p.sequences, training=True)
    layer.cell.activation = keras.activations.tanh
    assert layer(p.sequences[:2], training=True).shape == (2, 3)


# ---- Wrappers and mixed precision ----------------------------------------------------------------


@pytest.mark.parametrize("merge_mode", ["concat", "sum", None])
@pytest.mark.parametrize("mask", ["none", "right"])
def test_bidirectional_equals_keras(merge_mode, mask):
    p = problem(mask=mask)
    results = []
    for layer_class in (GRU, keras.layers.GRU):
        layer = keras.layers.Bidirectional(
            layer_class(p.units, return_sequences=True, return_state=True), merge_mode=merge_mode
        )
        layer.build(p.sequences.shape)
        backward = problem(seed=1).weights
        layer.set_weights([*p.weights, *backward])
        results.append(keras.tree.flatten(layer(p.sequences, mask=p.mask)))
    for ours, theirs in zip(*results, strict=True):
        assert_close(ours, theirs, SAME["float32"])


def test_time_distributed_runs_each_sequence_alone():
    p = problem()
    layer = GRU(p.units)
    wrapped = keras.layers.TimeDistributed(layer)
    sequences = np.stack([p.sequences, 2 * p.sequences], axis=1)
    wrapped.build(sequences.shape)
    layer.set_weights(p.weights)
    output = wrapped(sequences)
    for i in range(2):
        assert_close(output[:, i], layer(sequences[:, i]), SAME["float32"])


@pytest.mark.parametrize("runtime", EVERYWHERE)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_in_half_and_keeps_single_precision_weights(policy, runtime):
    p = problem(mask="right")
    common = {"return_sequences": True, "return_state": True, "return_gates": True, "dropout": 0.1}
    layer = load(GRU(p.units, dtype=policy, runtime=runtime, **common), p)
    half = layer.compute_dtype
    results = keras.tree.flatten(layer(p.sequences, initial_state=p.initial_state, mask=p.mask))
    expected = referee(p, **{name: common[name] for name in list(common)[:3]})
    for result, wanted in zip(results, expected.values(), strict=True):
        assert result.dtype == half
        assert_close(result.numpy().astype("float64"), wanted, HALF_PRECISION)
    assert {weight.dtype for weight in layer.trainable_weights} == {"float32"}
    assert all(np.isfinite(value).all() for value in measure(layer, p, "graph", training=True).values())


# ---- Edges and errors ----------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", EVERYWHERE)
@pytest.mark.parametrize("mode", MODES)
def test_an_empty_batch_gives_empty_results(mode, runtime):
    layer = GRU(3, runtime=runtime, return_sequences=True, return_state=True, return_gates=True)
    output, state, gates = MODES[mode](layer)(tf.zeros((0, 5, 2)), mask=tf.zeros((0, 5), bool))
    assert output.shape == gates["reset"].shape == (0, 5, 3)
    assert state.shape == (0, 3)


def test_a_sequence_without_steps_is_an_error():
    with pytest.raises(ValueError, match="T = 0: pass at least one step"):
        GRU(3)(np.zeros((4, 0, 2)))
    call = tf.function(GRU(3), input_signature=[tf.TensorSpec((None, None, 2))])
    with pytest.raises(tf.errors.InvalidArgumentError, match="T = 0: pass at least one step"):
        call(tf.zeros((4, 0, 2)))


@pytest.mark.parametrize("runtime", EVERYWHERE)
def test_a_length_that_only_the_run_knows(runtime):
    p = problem()
    layer = load(GRU(p.units, runtime=runtime, return_sequences=True), p)
    call = tf.function(layer, input_signature=[tf.TensorSpec((None, None, 2))])
    for steps in (1, 3, 5):
        x = tf.constant(p.sequences[:, :steps], "float32")
        assert_close(call(x), layer(x), SAME["float32"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "units=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"recurrent_dropout": -0.5}, "recurrent_dropout=-0.5"),
        ({"update_gate": "forget"}, "update_gate='forget'"),
        ({"use_cudnn": "maybe"}, "use_cudnn='maybe'"),
        ({"runtime": "fast"}, "runtime='fast' is unknown: pass 'auto' or one of 'cudnn', 'xla', 'graph', 'portable'"),
        ({"runtime": "graph", "activation": "relu"}, "runtime='graph' has no activation='relu'"),
        ({"runtime": "xla", "recurrent_activation": "linear"}, "runtime='xla' has no recurrent_activation='linear'"),
        ({"runtime": "xla", "unroll": True}, "runtime='xla' has no unroll=True: pass runtime='auto'"),
        ({"use_cudnn": True, "reset_after": False}, "use_cudnn=True, but cuDNN has no reset_after=False"),
        ({"use_cudnn": True, "activation": "relu"}, "use_cudnn=True, but cuDNN has no activation='relu'"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named_with_its_value(options, message):
    with pytest.raises(ValueError, match=message):
        GRU(**{"units": 3, **options})


@pytest.mark.parametrize(
    ("call_options", "message"),
    [
        ({"initial_state": np.zeros((4, 2))}, r"initial_state has shape \(4, 2\).* \(4, 3\)"),
        ({"initial_state": np.zeros((1, 3))}, r"initial_state has shape \(1, 3\).* \(4, 3\)"),
        ({"initial_state": [np.zeros((4, 3))] * 2}, r"initial_state has shape \(4, 3\), \(4, 3\)"),
        ({"mask": np.ones((5, 4), bool)}, r"mask has shape \(5, 4\).* \(4, 5\)"),
    ],
    ids=str,
)
def test_a_wrong_call_argument_is_named_with_its_shape(call_options, message):
    with pytest.raises(ValueError, match=message):
        GRU(3)(np.zeros((4, 5, 2)), **call_options)


def test_inputs_of_a_wrong_shape_are_named():
    layer = GRU(3)
    with pytest.raises(ValueError, match="expected ndim=3"):
        layer(np.zeros((4, 5)))
    layer(np.zeros((4, 5, 2)))
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 2"):
        layer(np.zeros((4, 5, 7)))


@pytest.mark.skipif(cudnn.available(), reason="there is a GPU")
def test_use_cudnn_is_refused_where_there_is_no_gpu():
    layer = GRU(3, use_cudnn=True)
    with pytest.raises(ValueError, match="use_cudnn=True .* there is no GPU that has it: pass 'auto'"):
        layer(np.zeros((4, 5, 2)))


@pytest.mark.parametrize("unroll", [False, True])
def test_unroll_decides_whether_the_graph_holds_a_loop(unroll):
    layer = GRU(3, unroll=unroll, runtime="portable")
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec((4, 5, 2))).graph
    assert any("While" in operation.type for operation in graph.get_operations()) is not unroll


def test_unroll_needs_a_static_length():
    call = tf.function(GRU(3, unroll=True), input_signature=[tf.TensorSpec((None, None, 2))])
    with pytest.raises(ValueError, match="unroll=True, but sequences has no static T"):
        call(tf.zeros((4, 5, 2)))
