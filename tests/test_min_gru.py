"""`MinGRU` against a loop in NumPy, its two scans against each other, and Keras's ways to use a layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from parity import FINITE_DIFFERENCES, HALF_PRECISION, MASKS, MODES, SAME, assert_close
from test_layer import central_differences

from gru_tf import MinGRU
from gru_tf.recurrence import SCANS, solve
from gru_tf.reference import sigmoid

each_scan = pytest.mark.parametrize("scan", SCANS)


def loop(sequences, kernel, bias=None, *, h=None, mask=None, update_gate="keep", go_backwards=False, f=lambda a: a):
    """The unit in NumPy float64, a step at a time: outputs (B, T, H) and the last state."""
    units = kernel.shape[1] // 2
    h = np.zeros((len(sequences), units)) if h is None else h
    mask = np.ones(sequences.shape[:2], bool) if mask is None else mask
    if go_backwards:
        sequences, mask = sequences[:, ::-1], mask[:, ::-1]
    output, outputs = np.zeros_like(h), []
    for x, real in zip(sequences.swapaxes(0, 1), mask.T[..., None], strict=True):
        a = x @ kernel + (0 if bias is None else bias)
        z, c = sigmoid(a[:, :units]), f(a[:, units:])
        new = z * h + (1 - z) * c if update_gate == "keep" else (1 - z) * h + z * c
        h, output = np.where(real, new, h), np.where(real, new, output)
        outputs.append(output)
    return np.stack(outputs, 1), h


def problem(batch=3, steps=7, features=2, units=4, seed=0):
    """Random sequences, kernel, bias and h_0 in float64."""
    rng = np.random.default_rng(seed)
    shapes = (batch, steps, features), (features, 2 * units), (2 * units,), (batch, units)
    return [rng.normal(size=shape) for shape in shapes]


def layer_with(kernel, bias=None, **options):
    """A layer with these weights that returns all it can."""
    options = {"return_sequences": True, "return_state": True, "dtype": "float64"} | options
    layer = MinGRU(kernel.shape[1] // 2, use_bias=bias is not None, **options)
    layer.build((None, None, len(kernel)))
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return layer


# ---- Values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "mode"), [*((mask, "eager") for mask in MASKS), ("middle", "graph"), ("middle", "jit")]
)
@each_scan
def test_results_equal_the_loop_in_numpy(scan, mask, mode):
    x, kernel, bias, h_0 = problem()
    mask = MASKS[mask](*x.shape[:2])
    options = {"update_gate": "write" if mode == "eager" else "keep", "go_backwards": mode == "graph"}
    layer = layer_with(kernel, bias, scan=scan, **options)
    results = MODES[mode](lambda: layer(tf.constant(x), initial_state=h_0, mask=mask))()
    for actual, expected in zip(results, loop(x, kernel, bias, h=h_0, mask=mask, **options), strict=True):
        assert_close(actual, expected, SAME["float64"])


@settings(max_examples=20)
@given(data=st.data())
def test_any_shape_any_mask_equals_the_loop(data):
    batch, features, units = (data.draw(st.integers(1, 2), label=name) for name in "BIH")
    steps = data.draw(st.integers(1, 40), label="T")
    x, kernel, bias, h_0 = problem(batch, steps, features, units, data.draw(st.integers(0, 99)))
    mask = data.draw(st.none() | hnp.arrays(bool, (batch, steps)), label="mask")
    flags = {"go_backwards": data.draw(st.booleans()), "update_gate": data.draw(st.sampled_from(["keep", "write"]))}
    layer = layer_with(kernel, bias, scan=data.draw(st.sampled_from(list(SCANS))), **flags)
    results = layer(tf.constant(x), initial_state=h_0, mask=mask)
    for actual, expected in zip(results, loop(x, kernel, bias, h=h_0, mask=mask, **flags), strict=True):
        assert_close(actual, expected, SAME["float64"])


@pytest.mark.parametrize("dtype", SAME)
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 32, 33, 2100])
def test_both_scans_are_one_function(steps, dtype):
    rng = np.random.default_rng(steps)
    a, b = (tf.constant(rng.uniform(size=(2, steps, 3)), dtype) for _ in "ab")
    assert_close(solve(a, b, "parallel"), solve(a, b, "sequential"), SAME[dtype])


@each_scan
def test_a_closed_and_an_open_gate_are_exact(scan):
    a, b = np.ones((1, 50, 1), "float32"), np.zeros((1, 50, 1), "float32")
    a[:, 20], b[:, [0, 20]] = 0, [[[3], [5]]]
    expected = np.where(np.arange(50) < 20, 3, 5)
    np.testing.assert_array_equal(solve(tf.constant(a), tf.constant(b), scan)[0, :, 0], expected)


def test_5000_steps_stay_finite_and_right():
    x, kernel, bias, _ = problem(steps=5000)
    bias[:4] = [0, 3, 8, 30]  # from forgetting at once to never
    layer = layer_with(kernel, bias, dtype="float32")
    sequences = tf.constant(x, "float32")

    @tf.function
    def measured():
        with tf.GradientTape() as tape:
            output, last = layer(sequences)
            total = tf.reduce_sum(last)
        return output, tape.gradient(total, layer.trainable_weights)

    output, gradients = measured()
    assert_close(output, loop(x, kernel, bias)[0], 1e-4)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("mode", ["graph", "jit"])
@each_scan
def test_a_graph_that_does_not_know_the_shapes(scan, mode):
    _, kernel, bias, _ = problem()
    layer = layer_with(kernel, bias, scan=scan)
    signature = [tf.TensorSpec((None, None, 2), tf.float64)]
    run = tf.function(lambda x: layer(x), input_signature=signature, jit_compile=mode == "jit")
    for batch, steps in [(2, 9)] if mode == "jit" else [(3, 1), (1, 6), (2, 9)]:
        x, *_ = problem(batch, steps)
        assert_close(run(tf.constant(x))[0], loop(x, kernel, bias)[0], SAME["float64"])
    if mode == "graph":
        assert run(tf.zeros((0, 3, 2), tf.float64))[0].shape == (0, 3, 4)
        with pytest.raises(tf.errors.InvalidArgumentError, match="T = 0"):
            run(tf.zeros((1, 0, 2), tf.float64))


def test_the_candidate_may_have_an_activation():
    x, kernel, _, _ = problem()
    assert_close(layer_with(kernel, activation="tanh")(x)[0], loop(x, kernel, f=np.tanh)[0], SAME["float64"])


def test_the_polarities_are_each_other_with_the_sign_turned():
    x, kernel, bias, _ = problem()
    sign = np.repeat([-1.0, 1.0], 4)
    keep, write = layer_with(kernel, bias), layer_with(kernel * sign, bias * sign, update_gate="write")
    assert_close(keep(x)[0], write(x)[0], SAME["float64"])


# ---- Gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "mode"), [("none", "eager"), ("empty row", "eager"), ("middle", "graph"), ("middle", "jit")]
)
@each_scan
def test_gradients_equal_central_differences_of_the_loop(scan, mask, mode):
    x, kernel, bias, h_0 = arrays = problem(2, 5, 2, 3)
    mask = MASKS[mask](2, 5)
    layer = layer_with(kernel, bias, scan=scan)
    weights = [np.random.default_rng(9).normal(size=shape) for shape in ((2, 5, 3), (2, 3))]
    sequences, start = tf.constant(x), tf.constant(h_0)

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch([sequences, start])
            results = layer(sequences, initial_state=start, mask=mask)
            total = tf.add_n([tf.reduce_sum(w * r) for w, r in zip(weights, results, strict=True)])
        return tape.gradient(total, [sequences, *layer.trainable_weights, start])

    def total():
        results = loop(x, kernel, bias, h=h_0, mask=mask)
        return sum(np.sum(w * r) for w, r in zip(weights, results, strict=True))

    for array, actual in zip(arrays, MODES[mode](gradients)(), strict=True):
        assert_close(actual, central_differences(total, array), FINITE_DIFFERENCES)


@each_scan
def test_second_derivatives_equal_differences_of_the_first(scan):
    rng = np.random.default_rng(0)
    a, b, v, w = (tf.constant(rng.uniform(size=(1, 6, 2))) for _ in range(4))

    def slope(a):
        with tf.GradientTape() as tape:
            tape.watch(a)
            total = tf.reduce_sum(w * solve(a, b, scan) ** 2)
        return tape.gradient(total, a)

    with tf.GradientTape() as tape:
        tape.watch(a)
        along = tf.reduce_sum(slope(a) * v)
    step = 1e-5
    expected = (slope(a + step * v) - slope(a - step * v)) / (2 * step)
    assert_close(tape.gradient(along, a), expected, FINITE_DIFFERENCES)


# ---- As a Keras layer ----------------------------------------------------------------------------


def test_a_model_with_padded_words_trains_and_survives_a_file(tmp_path):
    words = np.array([[3, 1, 2, 0, 0], [1, 1, 0, 0, 0], [2, 3, 1, 1, 2], [3, 0, 0, 0, 0]])
    layers = [keras.Input((None,)), keras.layers.Embedding(4, 3, mask_zero=True)]
    layers += [keras.layers.Bidirectional(MinGRU(4, return_sequences=True, activation="tanh"))]
    layers += [MinGRU(3, update_gate="write", kernel_regularizer="l2"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    model.fit(words, np.ones(4), epochs=1, verbose=0)
    before = model.predict(words, verbose=0)
    np.testing.assert_allclose(model.predict(words[:, :4], verbose=0)[[0, 1, 3]], before[[0, 1, 3]], rtol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras").predict(words, verbose=0), before)


@pytest.mark.parametrize("mode", ["sum", "concat", None])
def test_bidirectional_is_the_two_directions(mode):
    x, *_ = problem()
    wrapped = keras.layers.Bidirectional(MinGRU(4, return_sequences=True, dtype="float64"), merge_mode=mode)
    wrapped = wrapped(tf.constant(x)) if mode is None else [wrapped, wrapped(tf.constant(x))]
    if mode is None:
        assert [part.shape for part in wrapped] == [(3, 7, 4)] * 2
        return
    layer, result = wrapped
    weights = layer.get_weights()
    forward, _ = loop(x, *weights[:2])
    backward = loop(x, *weights[2:], go_backwards=True)[0][:, ::-1]
    expected = forward + backward if mode == "sum" else np.concatenate([forward, backward], -1)
    assert_close(result, expected, 1e-6 if layer.compute_dtype == "float32" else SAME["float64"])


def test_an_encoder_hands_its_state_and_its_mask_on():
    words, other = keras.Input((None,)), keras.Input((None,))
    embed = keras.layers.Embedding(5, 3, mask_zero=True)
    _, state = MinGRU(4, return_state=True, name="encoder")(embed(words))
    output = MinGRU(4, return_sequences=True, name="decoder")(embed(other), initial_state=state)
    assert output.shape == (None, None, 4)
    model = keras.Model([words, other], output)
    tokens = np.array([[1, 2, 0], [3, 4, 1]])
    result = model([tokens, tokens]).numpy()
    encoder, decoder = (model.get_layer(name).get_weights() for name in ("encoder", "decoder"))
    x, mask = embed(tokens).numpy().astype("float64"), tokens > 0
    _, h = loop(x, *encoder, mask=mask)
    assert_close(result, loop(x, *decoder, h=h, mask=mask)[0], SAME["float32"])


@pytest.mark.parametrize(("return_sequences", "return_state"), [(False, False), (True, False), (False, True)])
def test_shapes_are_known_beforehand(return_sequences, return_state):
    layer = MinGRU(4, return_sequences=return_sequences, return_state=return_state)
    symbolic = keras.tree.flatten(layer(keras.Input((5, 2), batch_size=3)))
    real = keras.tree.flatten(layer(np.ones((3, 5, 2), "float32")))
    assert [tuple(s.shape) for s in symbolic] == [tuple(r.shape) for r in real]
    unknown = keras.tree.flatten(layer(keras.Input((None, 2))))
    assert [len(u.shape) for u in unknown] == [len(r.shape) for r in real]


def test_padded_steps_put_out_zeros_where_asked():
    x, kernel, bias, h_0 = problem()
    mask = MASKS["left"](3, 7)
    repeated, _ = layer_with(kernel, bias)(x, initial_state=h_0, mask=mask)
    zeros, state = layer_with(kernel, bias, zero_output_for_mask=True)(x, initial_state=h_0, mask=mask)
    np.testing.assert_array_equal(zeros, np.where(mask[..., None], repeated, 0))
    assert_close(state, loop(x, kernel, bias, h=h_0, mask=mask)[1], SAME["float64"])


def test_sixteen_bits_keep_a_gate_that_is_almost_open():
    kernel, bias = np.zeros((1, 2)), np.array([7.0, 1.0])  # keeps 0.999, which bfloat16 rounds to 1
    layer = MinGRU(1, dtype="mixed_bfloat16")
    layer.build((None, None, 1))
    layer.set_weights([kernel, bias])
    x = np.zeros((1, 1000, 1))
    result = layer(x)
    assert result.dtype == tf.bfloat16
    assert_close(tf.cast(result, tf.float64), loop(x, kernel, bias)[1], HALF_PRECISION)


def test_every_option_comes_back_from_the_config():
    options = {
        "units": 3,
        "activation": "tanh",
        "use_bias": False,
        "kernel_initializer": "he_normal",
        "bias_initializer": "ones",
        "kernel_regularizer": "l1",
        "bias_regularizer": "l2",
        "activity_regularizer": "l1l2",
        "kernel_constraint": "max_norm",
        "bias_constraint": "non_neg",
        "return_sequences": True,
        "return_state": True,
        "go_backwards": True,
        "update_gate": "write",
        "zero_output_for_mask": True,
        "scan": "sequential",
        "name": "mine",
        "dtype": "float64",
    }
    config = MinGRU(**options).get_config()
    assert set(options) <= set(config)
    assert MinGRU.from_config(config).get_config() == config
    default = MinGRU(4).get_config()
    assert all(config[name] != default[name] for name in options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "units=0 is not a positive integer"),
        ({"units": 2.5}, "units=2.5 is not a positive integer"),
        ({"update_gate": "open"}, "update_gate='open' is unknown: pass 'keep' or 'write'"),
        ({"scan": "fast"}, "scan='fast' is unknown: pass 'parallel' or 'sequential'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MinGRU(**{"units": 4} | options)


@pytest.mark.parametrize(
    ("shape", "call", "message"),
    [
        ((3, 0, 2), {}, "T = 0"),
        ((3, 7, 2), {"mask": np.ones((3, 6), bool)}, "mask has shape"),
        ((3, 7, 2), {"initial_state": np.ones((3, 5))}, "initial_state has shape"),
        ((3, 7, 2), {"initial_state": [np.ones((3, 4))] * 2}, "initial_state has shape"),
        ((3, 7), {}, "expected ndim=3"),
    ],
)
def test_wrong_calls_are_refused(shape, call, message):
    with pytest.raises(ValueError, match=message):
        MinGRU(4)(np.ones(shape), **call)
