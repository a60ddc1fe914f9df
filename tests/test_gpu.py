"""On a GPU: what only a GPU can show. The tests of the cuDNN runtime, `test_cudnn.py`, run on cuDNN itself there."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from parity import HALF_PRECISION, MASKS, SAME, assert_close, assert_same, load, measure, problem, referee

from gru_tf import GRU
from gru_tf.runtimes import EVERYWHERE, RUNTIMES, cudnn

pytestmark = pytest.mark.skipif(not cudnn.available(), reason="no GPU")

EVERYTHING = {"return_sequences": True, "return_state": True, "return_gates": True}
SIZES = {"batch": 16, "steps": 30, "features": 20, "units": 48}  # enough for more than one block of threads
GRADIENTS = 1e-4  # float32, summed in another order: a fraction of the largest


@pytest.fixture(autouse=True)
def _single_precision_products():
    """Products of float32 in float32, and not in TensorFloat-32, which keeps three digits."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    yield
    tf.config.experimental.enable_tensor_float_32_execution(before)


def small_weights(mask="none"):
    """A problem of a size for a GPU; weights of this size keep the gates away from their limits."""
    p = problem(**SIZES, mask=mask)
    p.weights[:] = [weight / 7 for weight in p.weights]
    return p


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_results_and_gradients_equal_the_reference_and_the_portable_runtime(runtime, mask):
    p = small_weights(mask)
    common = {**EVERYTHING, "dtype": "float64"}
    measured = measure(load(GRU(p.units, runtime=runtime, **common), p), p, "graph", training=True)
    expected = referee(p, **EVERYTHING)
    assert_same({name: measured[name] for name in expected}, expected, SAME["float64"])
    assert_same(measured, measure(load(GRU(p.units, runtime="portable", **common), p), p, "graph"), 1e-10)


@pytest.mark.parametrize("mask", ["none", "right"])
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_keras_on_the_gpu(mode, mask):
    p = small_weights(mask)
    options = {"return_sequences": True, "return_state": True, "zero_output_for_mask": True}
    ours, theirs = load(GRU(p.units, **options), p), load(keras.layers.GRU(p.units, use_cudnn=True, **options), p)
    measured, of_keras = measure(ours, p, mode, training=True), measure(theirs, p, mode, training=True)
    assert ours.served_by == "cudnn"
    assert_same(measured, of_keras, GRADIENTS)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "cudnn"),
        ({"dropout": 0.5}, "cudnn"),
        ({"recurrent_dropout": 0.5}, "xla"),
        ({"reset_after": False}, "xla"),
        ({"use_cudnn": False}, "xla"),
        ({"activation": "relu"}, "portable"),
    ],
    ids=str,
)
def test_a_model_trains_on_the_runtime_that_serves_its_options(options, expected):
    layer = GRU(8, **options)
    model = keras.Sequential([keras.Input((12, 4)), layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    x = np.random.default_rng(0).normal(size=(64, 12, 4)).astype("float32")
    history = model.fit(x, x[:, -1, :1], batch_size=32, epochs=10, verbose=0).history["loss"]
    assert layer.served_by == expected
    assert history[-1] < history[0]


def test_auto_leaves_a_model_with_cudnn_out_of_xla():
    layer = GRU(8)
    model = keras.Sequential([keras.Input((12, 4)), layer])
    model.compile("sgd", "mse", jit_compile="auto")
    model.predict(np.zeros((2, 12, 4)), verbose=0)
    assert layer.served_by == "cudnn"


@pytest.mark.parametrize("runtime", ["auto", "xla"])
def test_jit(runtime):
    p = small_weights("left")
    layer = load(GRU(p.units, runtime=runtime, **EVERYTHING), p)
    measured, expected = measure(layer, p, "jit"), referee(p, **EVERYTHING)
    assert layer.served_by == "xla"
    assert_same({name: measured[name] for name in expected}, expected, SAME["float32"])


@pytest.mark.parametrize("mask", ["none", "middle"])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy, mask):
    p = small_weights(mask)
    layer = load(GRU(p.units, dtype=policy, return_sequences=True, return_state=True), p)
    measured = measure(layer, p, "graph", training=True)
    assert layer.served_by == "cudnn"
    expected = referee(p, return_sequences=True, return_state=True)
    assert_same({name: measured[name].astype("float64") for name in expected}, expected, HALF_PRECISION)
    assert all(np.isfinite(value.astype("float64")).all() for value in measured.values())


def test_five_thousand_steps():
    p = problem(2, 5000, 4, 8, mask="left")
    p.weights[:] = [weight / 3 for weight in p.weights]
    layer = load(GRU(p.units, return_sequences=True), p)
    measured = measure(layer, p, "graph", training=True)
    assert_close(measured["result 0"], referee(p, return_sequences=True)["result 0"], SAME["float32"] * 10)
    assert all(np.isfinite(value).all() for value in measured.values())


def test_a_model_trained_here_is_served_on_a_cpu(tmp_path):
    model = keras.Sequential([keras.Input((12, 4)), keras.layers.Masking(), GRU(8), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(32, 12, 4)).astype("float32")
    x[:8, :5] = 0  # padding on the left
    model.fit(x, x[:, -1, :1], verbose=0)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", model.predict(x, verbose=0))
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "saved", verbose=False)
    program = f"""
import keras, numpy as np, tensorflow as tf, gru_tf
tf.config.set_visible_devices([], "GPU")
folder = {str(tmp_path)!r}
x, y = np.load(folder + "/x.npy"), np.load(folder + "/y.npy")
for serve in keras.models.load_model(folder + "/model.keras"), tf.saved_model.load(folder + "/saved").serve:
    assert np.abs(serve(x) - y).max() <= 1e-5 * np.abs(y).max()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_runtimes_that_run_everywhere_agree_under_determinism():
    """Two runs of each under `enable_op_determinism` give the same bits, and cuDNN does, too."""
    program = """
import keras, numpy as np, tensorflow as tf
from gru_tf import GRU
tf.config.experimental.enable_op_determinism()
keras.utils.set_random_seed(1)
x = tf.random.normal((16, 30, 20))
mask = tf.sequence_mask(tf.range(16) + 5, 30)
layer = GRU(48, runtime=RUNTIME, return_sequences=True)
layer.build(x.shape)
def gradients():
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(x, mask=mask, training=True) ** 2)
    return tape.gradient(total, layer.trainable_weights)
for a, b in zip(gradients(), gradients()):
    np.testing.assert_array_equal(a, b)
"""
    for runtime in (*EVERYWHERE, "cudnn"):
        subprocess.run([sys.executable, "-c", program.replace("RUNTIME", repr(runtime))], check=True)
