"""The layer in models: wrappers, what Keras resolves, traces, masks, state, copies."""

import copy
import pickle
from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from parity import MODES, SAME, assert_close, load, problem

from gru_tf import GRU, GRUCell
from gru_tf.runtimes import RUNTIMES

RANDOM = np.random.default_rng(0)
NESTED = RANDOM.normal(size=(8, 2, 5, 2)).astype("float32")  # eight pairs of sequences
TARGETS = RANDOM.normal(size=(8, 1)).astype("float32")


# ---- Compile modes and wrappers ------------------------------------------------------------------


def every_wrapper(layer_class, cell_class, **runtimes):
    """A model in which layers stand in each wrapper of Keras and cells in its RNN; equal weights for both classes."""
    keras.utils.set_random_seed(1)
    options = [{"runtime": runtime} for runtime in runtimes.values()] or [{}] * 3
    graph, xla, portable = options
    summed = keras.layers.Bidirectional(layer_class(3, **xla), merge_mode="sum")
    joined = keras.layers.Bidirectional(layer_class(2, return_sequences=True, **graph), merge_mode="concat")
    return keras.Sequential(
        [
            keras.Input((2, 5, 2)),
            keras.layers.TimeDistributed(keras.Sequential([joined, summed])),
            layer_class(4, unroll=True, return_sequences=True, **portable),
            keras.layers.TimeDistributed(keras.layers.Dense(3)),
            keras.layers.RNN(keras.layers.StackedRNNCells([cell_class(3), cell_class(2)])),
            keras.layers.Dense(1),
        ]
    )


def losses(model, x=NESTED, y=TARGETS, **compile_options):
    """The loss of four training steps, two batches of four rows each epoch."""
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", **compile_options)
    return [float(model.train_on_batch(x[i : i + 4], y[i : i + 4])) for i in (0, 4, 0, 4)]


@cache
def losses_with_keras():
    return losses(every_wrapper(keras.layers.GRU, keras.layers.GRUCell))


def test_eager_training_in_every_wrapper_equals_training_with_keras():
    ours = losses(every_wrapper(GRU, GRUCell, first="graph", second="xla", third="auto"), run_eagerly=True)
    assert_close(ours, losses_with_keras(), SAME["float32"])
    assert ours[-1] < ours[1]


@pytest.mark.parametrize(("devices", "expected"), [("CPU", False), ("GPU", True)])
def test_keras_resolves_auto_to_xla_where_there_is_a_gpu(devices, expected, monkeypatch):
    model = keras.Sequential([keras.Input((5, 2)), GRU(3)])
    physical = [tf.config.PhysicalDevice(f"/physical_device:{devices}:0", devices)]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda *_: physical)
    model.compile("sgd", "mse", jit_compile="auto")
    assert model.jit_compile is expected


# ---- Traces --------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit_compile", [False, True])
def test_batches_of_many_shapes_share_a_few_traces(jit_compile, monkeypatch):
    traced = []
    for name, runtime in RUNTIMES.items():
        right = runtime.run
        monkeypatch.setattr(
            runtime,
            "run",
            lambda cell, x, *args, name=name, right=right, **options: (
                traced.append((name, x.shape[:2])) or right(cell, x, *args, **options)
            ),
        )
    model = keras.Sequential([keras.Input((None, 2)), GRU(3), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=jit_compile)
    traced.clear()  # of the model's construction
    for batch, steps in [(4, 5), (4, 7), (4, 3), (2, 9), (3, 1), (4, 8)]:
        model.train_on_batch(np.ones((batch, steps, 2)), np.ones((batch, 1)))
    assert len(traced) <= 3
    compiled = [shape for name, shape in traced if name == "xla"]
    # Without jit_compile only the first batch, whose shape is taken for fixed, gets a program of its own.
    assert len(compiled) <= (3 if jit_compile else 1), traced


# ---- Masks and states ----------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_mask_reaches_the_layer_when_an_initial_state_does(wrapped):
    p = problem(mask="right")
    tokens, states = keras.Input((5,)), [keras.Input((3,)) for _ in range(1 + wrapped)]
    layer = keras.layers.Bidirectional(GRU(3)) if wrapped else GRU(3)
    embed = keras.layers.Embedding(20, 2, mask_zero=True)
    model = keras.Model([tokens, *states], layer(embed(tokens), initial_state=states if wrapped else states[0]))
    ids = np.where(p.mask, 1 + np.arange(20).reshape(4, 5) % 19, 0)
    starts = [p.initial_state] * len(states)
    predicted = model.predict([ids, *starts], verbose=0)
    for i, real in enumerate(p.mask):
        alone = model.predict([ids[i : i + 1, real], *(start[i : i + 1] for start in starts)], verbose=0)
        assert_close(predicted[i : i + 1], alone, SAME["float32"])


def test_a_stateful_layer_goes_on_from_runtime_to_runtime():
    p = problem(mask="right")
    layer, whole = load(GRU(p.units, stateful=True), p), load(GRU(p.units), p)
    unknown_batch = tf.function(layer, input_signature=[tf.TensorSpec((None, 5, 2))])
    x = tf.constant(p.sequences, "float32")
    served = []
    for call in (layer, tf.function(layer), unknown_batch, MODES["jit"](layer)):
        output = call(x)
        served.append(layer.runtime)
    assert served == ["graph", "xla", "graph", "xla"]
    assert_close(output, whole(tf.concat([x] * 4, 1)), SAME["float32"])
    layer.reset_states()
    assert_close(unknown_batch(x), whole(x), SAME["float32"])


# ---- Copies --------------------------------------------------------------------

COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda layer: pickle.loads(pickle.dumps(layer))}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_of_a_layer_computes_the_same(how):
    p = problem()
    layer = load(GRU(p.units, update_gate="write", runtime="graph", dropout=0.1), p)
    copied = COPIES[how](layer)
    assert copied.get_config() == layer.get_config()
    np.testing.assert_array_equal(copied(p.sequences), layer(p.sequences))
    copied.cell.kernel.assign(0 * copied.cell.kernel)
    assert np.any(layer.cell.kernel)


def test_a_cloned_model_has_the_same_layers_and_the_same_summary():
    model = keras.Sequential([keras.Input((None, 2)), keras.layers.Bidirectional(GRU(3, runtime="graph"))])
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x = NESTED[:, 0]
    np.testing.assert_array_equal(clone(x), model(x))
    lines = []
    clone.summary(print_fn=lines.append)
    assert f"{clone.count_params():,}" in "".join(lines)
