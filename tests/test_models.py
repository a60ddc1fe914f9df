"""The layer in models: wrappers, compile modes, precision, length, traces, masks, state, copies, determinism."""

import copy
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from parity import HALF_PRECISION, MODES, SAME, assert_close, assert_same, load, problem, referee

from gru_tf import GRU, GRUCell
from gru_tf.runtimes import RUNTIMES

RANDOM = np.random.default_rng(0)
SEQUENCES = RANDOM.normal(size=(8, 5, 2)).astype("float32")
TOKENS = RANDOM.integers(0, 5, (8, 5))
TARGETS = RANDOM.normal(size=(8, 1)).astype("float32")


# ---- Compile modes, wrappers and precision -------------------------------------------------------


def every_wrapper(layer_class, cell_class):
    """Tokens (B, 5) with padding through layers and cells in Keras's wrappers; equal weights for both classes."""
    keras.utils.set_random_seed(1)
    spread = keras.initializers.RandomNormal(stddev=1.0)
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Embedding(5, 2, mask_zero=True, embeddings_initializer=spread),
            keras.layers.Bidirectional(layer_class(4)),
            keras.layers.Reshape((2, 2, 2)),
            keras.layers.TimeDistributed(layer_class(2)),
            keras.layers.RNN(keras.layers.StackedRNNCells([cell_class(3), cell_class(2)])),
            keras.layers.Dense(1),
        ]
    )


def trained(model, x, **compile_options):
    """The losses of three training steps on two batches, and the weights after them."""
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", **compile_options)
    losses = [model.train_on_batch(x[i : i + 4], TARGETS[i : i + 4]) for i in (0, 4, 0)]
    return {"losses": losses, **dict(enumerate(model.get_weights()))}


@cache
def trained_with_keras():
    return trained(every_wrapper(keras.layers.GRU, keras.layers.GRUCell), TOKENS, run_eagerly=True)


@pytest.mark.parametrize("mode", [{"run_eagerly": True}, {"jit_compile": False}, {"jit_compile": True}], ids=str)
def test_training_in_every_wrapper_equals_training_with_keras(mode):
    assert_same(trained(every_wrapper(GRU, GRUCell), TOKENS, **mode), trained_with_keras(), SAME["float32"])


@pytest.mark.parametrize(("devices", "expected"), [("CPU", False), ("GPU", True)])
def test_keras_resolves_auto_to_xla_where_there_is_a_gpu(devices, expected, monkeypatch):
    model = keras.Sequential([keras.Input((5, 2)), GRU(3)])
    physical = [tf.config.PhysicalDevice(f"/physical_device:{devices}:0", devices)]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda *_: physical)
    model.compile("sgd", "mse", jit_compile="auto")
    assert model.jit_compile is expected


@pytest.fixture
def set_policy():
    """Set Keras's policy for the layers and models made in this test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def test_training_in_mixed_precision_stays_near_training_in_single_precision(set_policy):
    runs = {}
    for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
        set_policy(policy)
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((5, 2)), GRU(4), keras.layers.Dense(1)])
        runs[policy] = trained(model, SEQUENCES)["losses"]
        scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scaled is (policy == "mixed_float16")
    exact = runs.pop("float32")
    for losses in runs.values():
        assert_close(losses, exact, HALF_PRECISION)
        assert losses[2] != losses[0]  # no step was skipped for a gradient that is not finite


@pytest.mark.parametrize("jit_compile", [False, True])
def test_five_thousand_steps(jit_compile):
    p = problem(1, 5000, 2, 1)
    layer = GRU(1)
    model = keras.Sequential([keras.Input((None, 2)), layer])
    layer.set_weights(p.weights)
    target = referee(replace(p, initial_state=np.zeros((1, 1))))["result 0"] + 1
    model.compile("sgd", "mse", jit_compile=jit_compile)
    assert model.train_on_batch(p.sequences, target) == pytest.approx(1, rel=2 * SAME["float32"])
    assert all(np.isfinite(weight).all() for weight in layer.get_weights())


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
    for batch, steps in [(4, 5), (4, 7), (2, 9), (3, 1)]:
        model.train_on_batch(np.ones((batch, steps, 2)), np.ones((batch, 1)))
    assert len(traced) <= 3
    compiled = [shape for name, shape in traced if name == "xla"]
    # Without jit_compile only the first batch, whose shape is taken for fixed, gets a program of its own.
    assert len(compiled) <= (3 if jit_compile else 1), traced


# ---- Masks and states ----------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_mask_reaches_the_layer_when_an_initial_state_does(wrapped):
    p = problem(mask="right")
    tokens, states = keras.Input((None,)), [keras.Input((3,)) for _ in range(1 + wrapped)]
    layer = keras.layers.Bidirectional(GRU(3)) if wrapped else GRU(3)
    embed = keras.layers.Embedding(20, 2, mask_zero=True)
    model = keras.Model([tokens, *states], layer(embed(tokens), initial_state=states if wrapped else states[0]))
    ids = np.where(p.mask, 1 + np.arange(20).reshape(4, 5) % 19, 0)
    starts = [p.initial_state] * len(states)
    predicted = model([ids, *starts])
    for i, real in enumerate(p.mask):
        alone = model([ids[i : i + 1, real], *(start[i : i + 1] for start in starts)])
        assert_close(predicted[i : i + 1], alone, SAME["float32"])


def test_a_stateful_layer_goes_on_from_runtime_to_runtime():
    p = problem(mask="right")
    layer, whole = load(GRU(p.units, stateful=True), p), load(GRU(p.units), p)
    unknown_batch = tf.function(layer, input_signature=[tf.TensorSpec((None, 5, 2))])
    x = tf.constant(p.sequences, "float32")
    served = []
    for call in (layer, MODES["graph"](layer), unknown_batch, MODES["jit"](layer)):
        output = call(x)
        served.append(layer.served_by)
    assert served == ["graph", "xla", "graph", "xla"]
    assert_close(output, whole(tf.concat([x] * 4, 1)), SAME["float32"])
    layer.reset_states()
    assert_close(unknown_batch(x), whole(x), SAME["float32"])


# ---- Copies --------------------------------------------------------------------------------------

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
    x = SEQUENCES
    np.testing.assert_array_equal(clone(x), model(x))
    lines = []
    clone.summary(print_fn=lines.append)
    assert f"{clone.count_params():,}" in "".join(lines)


# ---- Determinism ---------------------------------------------------------------------------------

# In a process of its own: deterministic operations cannot be switched off again.
TRAIN_TWICE = """
import keras
import numpy as np
import tensorflow as tf
from gru_tf import GRU

tf.config.experimental.enable_op_determinism()

def trained():
    keras.utils.set_random_seed(3)
    options = {"dropout": 0.3, "recurrent_dropout": 0.3, "return_sequences": True}
    model = keras.Sequential([keras.Input((5, 2)), *(GRU(3, runtime=r, **options) for r in ("graph", "xla"))])
    model.compile("sgd", "mse", jit_compile=False)  # Keras refuses True where operations are deterministic
    first = model.get_weights()
    for _ in range(3):
        model.train_on_batch(np.random.normal(size=(4, 5, 2)), np.ones((4, 5, 3)))
    assert all((a != b).any() for a, b in zip(first, model.get_weights()))
    return model.get_weights()

for first, second in zip(trained(), trained(), strict=True):
    np.testing.assert_array_equal(first, second)
"""


def test_two_training_runs_are_bit_equal_where_operations_are_deterministic():
    subprocess.run([sys.executable, "-c", TRAIN_TWICE], check=True)
