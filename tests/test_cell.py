"""`GRUCell`: one step against Keras's cell and the reference, its options, and Keras's wrappers around it."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from parity import OTHER_CELL_VALUES, SAME, assert_close, assert_same, load, measure, problem

from gru_tf import GRUCell, reference


def built(cell_class, p, **options):
    cell = cell_class(p.units, **options)
    cell.build((None, p.sequences.shape[-1]))
    cell.set_weights(p.weights)
    return cell


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("reset_after", [True, False])
def test_a_step_equals_the_cell_of_keras_and_the_reference(reset_after, use_bias):
    p = problem(reset_after=reset_after, use_bias=use_bias)
    options = {"reset_after": reset_after, "use_bias": use_bias, "dtype": "float64"}
    ours, theirs = (built(cell_class, p, **options) for cell_class in (GRUCell, keras.layers.GRUCell))
    x, h = p.sequences[:, 0], p.initial_state
    assert [(w.name, w.shape) for w in ours.weights] == [(w.name, w.shape) for w in theirs.weights]
    expected, gates = reference.step(x, h, *p.weights, reset_after=reset_after)
    for cell in (ours, theirs):
        output, [state] = cell(x, [h])
        assert_close(output, expected, SAME["float64"])
        np.testing.assert_array_equal(output, state)
    _, our_gates = ours.step(x, tf.constant(h))
    for name, gate in gates.items():
        assert_close(our_gates[name], gate, SAME["float64"])


def test_a_state_that_is_no_list_comes_back_as_no_list():
    p = problem()
    output, state = built(GRUCell, p)(p.sequences[:, 0], p.initial_state)
    np.testing.assert_array_equal(output, state)


@pytest.mark.parametrize("activation", [tf.nn.tanh, tf.math.tanh, tf.tanh, keras.ops.tanh, keras.activations.tanh])
@pytest.mark.parametrize("gate", [tf.nn.sigmoid, tf.math.sigmoid, tf.sigmoid, keras.ops.sigmoid])
def test_tanh_and_sigmoid_are_known_by_all_their_names(activation, gate):
    cell = GRUCell(3, activation=activation, recurrent_activation=gate)
    assert cell.activation is keras.activations.tanh
    assert cell.recurrent_activation is keras.activations.sigmoid


def test_the_write_polarity_equals_the_reference():
    p = problem()
    cell = built(GRUCell, p, update_gate="write", dtype="float64")
    output, _ = cell(p.sequences[:, 0], [p.initial_state])
    expected, _ = reference.step(p.sequences[:, 0], p.initial_state, *p.weights, update_gate="write")
    assert_close(output, expected, SAME["float64"])


@pytest.mark.parametrize("mask", ["none", "middle"])
def test_rnn_over_the_cell_equals_rnn_over_the_cell_of_keras(mask):
    p = problem(mask=mask)
    ours, theirs = (
        measure(load(keras.layers.RNN(cell_class(p.units), return_sequences=True, return_state=True), p), p)
        for cell_class in (GRUCell, keras.layers.GRUCell)
    )
    assert_same(ours, theirs, SAME["float32"])


def test_stacked_cells_equal_stacked_cells_of_keras():
    p = problem()
    outputs = []
    for cell_class in (GRUCell, keras.layers.GRUCell):
        layer = keras.layers.RNN([cell_class(4), cell_class(3)], return_sequences=True)
        layer.build(p.sequences.shape)
        random_values = np.random.default_rng(5)
        layer.set_weights([random_values.normal(size=w.shape) for w in layer.weights])
        outputs.append(layer(p.sequences))
    assert_close(*outputs, SAME["float32"])


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.5},
        {"dropout": 0.5, "implementation": 1},
        {"recurrent_dropout": 0.5},
        {"dropout": 0.3, "recurrent_dropout": 0.5},
        {"dropout": 0.3, "recurrent_dropout": 0.5, "reset_after": False},
    ],
    ids=str,
)
def test_dropout_with_a_seed_equals_keras_under_rnn(options):
    p = problem(reset_after=options.get("reset_after", True))
    ours, theirs = (
        load(keras.layers.RNN(cell_class(p.units, seed=3, **options)), p)
        for cell_class in (GRUCell, keras.layers.GRUCell)
    )
    for _ in range(2):  # the second call draws new masks
        assert_close(ours(p.sequences, training=True), theirs(p.sequences, training=True), SAME["float32"])
    assert np.abs(ours(p.sequences, training=True) - ours(p.sequences)).max() > 0.01


def test_the_constructor_takes_the_arguments_of_keras_in_their_order():
    ours, theirs = (
        list(inspect.signature(cell_class).parameters.values()) for cell_class in (GRUCell, keras.layers.GRUCell)
    )
    assert ours[: len(theirs) - 1] == theirs[:-1]


@pytest.mark.parametrize("name", list(inspect.signature(GRUCell).parameters)[1:-1])
def test_the_config_keeps_every_option(name):
    default = GRUCell(3).get_config()
    config = GRUCell(3, **{name: OTHER_CELL_VALUES[name]}).get_config()
    assert config[name] != default[name]
    assert GRUCell.from_config(config).get_config() == config


@pytest.mark.parametrize(("role", "name"), [("kernel", "kernel"), ("recurrent", "recurrent_kernel"), ("bias", "bias")])
def test_each_weight_has_its_own_initializer_regularizer_and_constraint(role, name):
    half, penalty, limit = (
        keras.initializers.Constant(0.5),
        keras.regularizers.L2(),
        keras.constraints.NonNeg(),
    )
    cell = GRUCell(3, **{f"{role}_initializer": half, f"{role}_regularizer": penalty, f"{role}_constraint": limit})
    cell.build((None, 2))
    assert [w.name for w in cell.weights if np.all(w.numpy() == 0.5)] == [name]
    assert [w.name for w in cell.weights if w.regularizer is penalty] == [name]
    assert [w.name for w in cell.weights if w.constraint is limit] == [name]


@pytest.mark.parametrize(
    "wrong",
    [
        {"units": 0},
        {"units": -2},
        {"units": 2.5},
        {"units": "many"},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"recurrent_dropout": 1.5},
        {"update_gate": "forget"},
    ],
    ids=str,
)
def test_a_wrong_argument_is_named_with_its_value(wrong):
    [(name, value)] = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        GRUCell(**{"units": 3, **wrong})
