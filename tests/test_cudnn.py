"""The cuDNN runtime: on cuDNN itself where there is a GPU, and else on a model of it (`cudnn_model`)."""

import itertools

import cudnn_model
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.tensorflow.rnn import _cudnn_gru
from parity import (
    FINITE_DIFFERENCES,
    HALF_PRECISION,
    MASKS,
    MODES,
    SAME,
    assert_close,
    assert_same,
    covering_rows,
    load,
    measure,
    problem,
    referee,
)

from gru_tf import GRU
from gru_tf.runtimes import Call, choose, cudnn

EVERYTHING = {"return_sequences": True, "return_state": True, "return_gates": True}
ON_GPU = cudnn.available()
REAL = {"CudnnRNNV2": tf.raw_ops.CudnnRNNV2, "CudnnRNNV3": tf.raw_ops.CudnnRNNV3}


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """The calls of cuDNN, (operation, options) each."""
    made = []
    monkeypatch.setattr(cudnn, "available", lambda: True)
    monkeypatch.setattr(cudnn, "disagreement", lambda dtype: None)  # see test_cudnn_probe.py
    for name, model in {"CudnnRNNV2": cudnn_model.rnn_v2, "CudnnRNNV3": cudnn_model.rnn_v3}.items():
        serve = REAL[name] if ON_GPU else model
        monkeypatch.setattr(tf.raw_ops, name, lambda name=name, serve=serve, **o: made.append((name, o)) or serve(**o))
    precise = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    yield made
    tf.config.experimental.enable_tensor_float_32_execution(precise)


# ---- Values --------------------------------------------------------------------------------------

GRID = {
    "mask": [*MASKS, "random"],
    "dtype": ["float64", "float32"],
    "update_gate": ["keep", "write"],
    "use_bias": [True, False],
    "go_backwards": [False, True],
    "zero_output_for_mask": [False, True],
    "return_sequences": [True, False],
}


def results_are_right(mask="random", dtype="float64", use_bias=True, **flags):
    """Compare every result with the reference."""
    p = problem(mask=mask if mask != "random" else np.random.default_rng(5).random((4, 5)) < 0.5, use_bias=use_bias)
    flags = {**EVERYTHING, **flags}
    layer = load(GRU(p.units, dtype=dtype, use_bias=use_bias, **flags), p)
    results = layer(tf.constant(p.sequences, dtype), initial_state=p.initial_state, mask=p.mask)
    assert layer.served_by == "cudnn"
    assert_same(named(results), referee(p, **flags), SAME[dtype])


def named(results):
    """Results named as in `measure`."""
    return {f"result {i}": result for i, result in enumerate(keras.tree.flatten(results))}


@pytest.mark.parametrize("row", covering_rows(GRID), ids=lambda row: "-".join(map(str, row.values())))
def test_results_equal_the_reference(row):
    results_are_right(**row)


@pytest.mark.parametrize("seed", range(10))
def test_a_random_mask(seed):
    chance = np.random.default_rng(seed)
    p = problem(mask=chance.random((4, 5)) < chance.random(), seed=seed)
    layer = load(GRU(p.units, dtype="float64", **EVERYTHING), p)
    results = layer(p.sequences, initial_state=p.initial_state, mask=p.mask)
    assert_same(named(results), referee(p, **EVERYTHING), SAME["float64"])


def test_lengths_only_save_work(monkeypatch):
    right = cudnn._outputs
    monkeypatch.setattr(cudnn, "_outputs", lambda _, *rest: right(None, *rest))
    results_are_right("random")
    results_are_right("empty row")


@pytest.mark.parametrize("mask", ["none", "middle"])
def test_lengths_that_change_need_one_trace(mask, calls):
    layer = GRU(3, dtype="float64", **EVERYTHING)
    layer.build((None, None, 2))
    signature = [tf.TensorSpec((None, None, 2), "float64"), tf.TensorSpec((None, 3), "float64")]
    signature += [] if mask == "none" else [tf.TensorSpec((None, None), "bool")]
    call = tf.function(lambda x, h, mask=None: layer(x, h, mask, training=True), input_signature=signature)
    for batch, steps in [(4, 5), (1, 7), (2, 1), (0, 3)]:
        p = problem(batch, steps, mask=mask)
        layer.set_weights(p.weights)
        results = call(p.sequences, p.initial_state, *([] if mask == "none" else [p.mask]))
        assert_same(named(results), referee(p, **EVERYTHING), SAME["float64"])
    assert layer.served_by == "cudnn"
    assert call.experimental_get_tracing_count() == 1
    assert {name for name, _ in calls} == {"CudnnRNNV3"}  # tries no algorithms for each length


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    p = problem(mask="middle")
    layer = load(GRU(p.units, dtype=policy, **EVERYTHING), p)
    results = keras.tree.flatten(layer(p.sequences, initial_state=p.initial_state, mask=p.mask))
    assert {result.dtype.name for result in results} == {policy.removeprefix("mixed_")}
    assert_same(named([tf.cast(result, "float64") for result in results]), referee(p, **EVERYTHING), HALF_PRECISION)
    large = layer(1e4 * np.sign(p.sequences), mask=p.mask)
    assert all(np.isfinite(tf.cast(value, "float64")).all() for value in keras.tree.flatten(large))


def test_dropout_with_a_seed_equals_the_portable_runtime():
    p = problem(mask="middle")
    outputs = []
    for runtime in ("cudnn", "portable"):
        layer = load(GRU(p.units, dropout=0.5, seed=3, runtime=runtime, dtype="float64", **EVERYTHING), p)
        outputs.append(measure(layer, p, training=True))
    assert_same(*outputs, SAME["float64"])


def test_what_stands_in_a_padded_step_does_not_matter():
    p = problem(mask="empty row")
    layer = load(GRU(p.units, dtype="float64"), p)
    measured = []
    for padding in (0, np.nan):
        sequences = tf.constant(np.where(p.mask[..., None], p.sequences, padding))
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(layer(sequences, mask=p.mask) ** 2)
        measured += [total, *tape.gradient(total, layer.trainable_weights)]
    for with_zeros, with_nan in zip(measured[:4], measured[4:], strict=True):
        np.testing.assert_array_equal(with_zeros, with_nan)


# ---- Gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "training", "options"),
    [
        *((mask, True, {}) for mask in MASKS),
        ("middle", False, {"update_gate": "write", "return_sequences": False, "go_backwards": True}),
        ("empty row", False, {"use_bias": False}),
    ],
)
def test_gradients_equal_those_of_the_portable_runtime(mask, training, options):
    p = problem(mask=mask, use_bias=options.get("use_bias", True))
    common = {**EVERYTHING, "dtype": "float64", **options}
    ours, other = (load(GRU(p.units, runtime=runtime, **common), p) for runtime in ("cudnn", "portable"))
    actual = measure(ours, p, training=training)
    assert ours.served_by == "cudnn"
    assert_same(actual, measure(other, p), SAME["float64"] * 10)


def test_the_first_gradient_is_that_of_cudnn(calls):
    p = problem()
    layer = load(GRU(p.units, dtype="float64"), p)
    measure(layer, p, training=False)
    assert [options["is_training"] for _, options in calls] == [False, True]
    calls.clear()
    measure(layer, p, training=True)
    assert [options["is_training"] for _, options in calls] == [True]


def derivatives(mask):
    """A loss and its derivatives of order 1, 2 and 3 along a line; and the line, t -> the loss's variables."""
    p = problem(2, 3, mask=mask)
    layer = load(GRU(p.units, dtype="float64", return_sequences=True), p)
    x, h = tf.Variable(p.sequences), tf.Variable(p.initial_state)
    variables = [x, h, *(weight.value for weight in layer.trainable_weights)]
    starts = [tf.constant(variable) for variable in variables]
    chance = np.random.default_rng(1)
    directions = [chance.normal(size=variable.shape) for variable in variables]

    def derivative(function):
        def slope():
            with tf.GradientTape() as tape:
                value = function()
            products = zip(tape.gradient(value, variables), directions, strict=True)
            return tf.add_n([tf.reduce_sum(gradient * direction) for gradient, direction in products])

        return slope

    def go_to(t):
        for variable, start, direction in zip(variables, starts, directions, strict=True):
            variable.assign(start + t * direction)

    functions = [lambda: tf.reduce_sum(tf.sin(2.0 * layer(x, initial_state=h, mask=p.mask, training=True)))]
    for _ in range(3):
        functions.append(derivative(functions[-1]))
    return functions, go_to


@pytest.mark.parametrize(
    ("mask", "order"), [("none", 1), ("none", 2), ("empty row", 1), ("empty row", 2), ("empty row", 3)]
)
def test_a_derivative_equals_central_differences_of_the_one_below(mask, order):
    functions, go_to = derivatives(mask)
    actual, step = functions[order](), 1e-5
    ends = []
    for t in (step, -step):
        go_to(t)
        ends.append(functions[order - 1]())
    assert_close(actual, (ends[0] - ends[1]) / (2 * step), FINITE_DIFFERENCES)


@pytest.mark.slow
def test_second_derivatives_in_a_graph():
    functions, _ = derivatives("empty row")
    assert_close(tf.function(functions[2])(), functions[2](), SAME["float64"] * 10)


# ---- What cuDNN is handed ------------------------------------------------------------------------


def test_the_buffer_equals_the_one_that_keras_makes(calls):
    p = problem()
    kernel, recurrent_kernel, bias = (tf.constant(weight) for weight in p.weights)
    bias *= [[1.0] * 9, [0.0] * 6 + [1.0] * 3]  # the layer adds d_z and d_r to b_z and b_r
    _cudnn_gru(p.sequences, p.initial_state, kernel, recurrent_kernel, bias, None, False, False, True)
    (_, options), *_ = calls
    np.testing.assert_array_equal(cudnn._parameters(kernel, recurrent_kernel, bias[0], bias[1, 6:]), options["params"])


def test_the_model_of_cudnn_gives_keras_its_results():
    p = problem(mask="right")
    weights = [tf.constant(weight) for weight in p.weights]
    _, outputs, (state,) = _cudnn_gru(
        tf.constant(p.sequences), tf.constant(p.initial_state), *weights, tf.constant(p.mask), False, False, True
    )
    expected = referee(p, return_sequences=True, return_state=True, zero_output_for_mask=True)
    assert_same({"result 0": outputs, "result 1": state}, expected, SAME["float64"])


@pytest.mark.parametrize(("mask", "operation"), [("none", "CudnnRNNV2"), ("left", "CudnnRNNV3")])
def test_the_operation_for_a_length_that_is_known(mask, operation, calls):
    p = problem(mask=mask)
    GRU(p.units)(p.sequences, mask=p.mask)
    assert [name for name, _ in calls] == [operation]


@pytest.mark.parametrize("lengths", [None, [5, 1, 2, 3]])
def test_the_operations_of_tensorflow_take_what_they_are_handed(lengths, monkeypatch):
    for name, operation in REAL.items():
        monkeypatch.setattr(tf.raw_ops, name, operation)

    @tf.function
    def gradients():  # is built here and not run
        shapes = [(4, 5, 2), (4, 3), (2, 9), (3, 9), (9,), (3,)]
        inputs = [tf.ones(shape) for shape in shapes]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = cudnn._outputs(lengths, True, *inputs)
        assert outputs.shape == (4, 5, 3)
        return tape.gradient(outputs, inputs)

    graph = gradients.get_concrete_function().graph
    version = "V2" if lengths is None else "V3"
    operations = [operation.type for operation in graph.get_operations() if operation.type.startswith("Cudnn")]
    assert operations == [f"CudnnRNN{version}", f"CudnnRNNBackprop{version}"]


# ---- The choice ----------------------------------------------------------------------------------

CHOICES = [
    ({}, "cudnn"),
    ({"use_cudnn": True}, "cudnn"),
    ({"runtime": "cudnn"}, "cudnn"),
    ({"use_bias": False}, "cudnn"),
    ({"update_gate": "write", "dropout": 0.5}, "cudnn"),
    ({"implementation": 1}, "cudnn"),
    ({"use_cudnn": False}, "xla"),
    ({"runtime": "graph"}, "graph"),
    ({"reset_after": False}, "xla"),
    ({"recurrent_dropout": 0.5}, "xla"),
    ({"implementation": 1, "dropout": 0.5}, "xla"),
    ({"activation": "relu"}, "portable"),
    ({"unroll": True}, "portable"),
]


@pytest.mark.parametrize(("options", "expected"), CHOICES, ids=str)
def test_the_choice(options, expected):
    layer = GRU(3, **options)
    layer.build((4, 5, 2))

    @MODES["graph"]
    def served_by(x):
        call = Call("cudnn" if options.get("use_cudnn") is True else layer.runtime, layer.unroll, x, x[:, 0], False)
        return choose(layer.cell, call, layer.use_cudnn)

    assert served_by(tf.zeros((4, 5, 2))).numpy().decode() == expected
    assert layer.supports_jit is (expected != "cudnn")


def test_auto_falls_back_without_a_gpu(monkeypatch):
    monkeypatch.setattr(cudnn, "available", lambda: False)
    layer = GRU(3)
    layer(np.zeros((4, 5, 2)))
    assert layer.served_by == "graph"
    assert layer.supports_jit


def test_xla_serves_inside_xla():
    layer = GRU(3)
    tf.function(layer, jit_compile=True)(tf.zeros((4, 5, 2)))
    assert layer.served_by == "xla"


@pytest.mark.parametrize("asked", [{"use_cudnn": True}, {"runtime": "cudnn"}], ids=str)
def test_cudnn_insisted_on_where_it_cannot_serve_is_refused(asked, monkeypatch):
    layer = GRU(3, **asked)
    with pytest.raises(ValueError, match="asks for cuDNN, but jit_compile=True rules it out: pass 'auto'"):
        tf.function(layer, jit_compile=True)(tf.zeros((4, 5, 2)))
    monkeypatch.setattr(cudnn, "available", lambda: False)
    with pytest.raises(ValueError, match="asks for cuDNN, but there is no GPU that has it: pass 'auto'"):
        layer(np.zeros((4, 5, 2)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "cudnn", "activation": "relu"}, "runtime='cudnn' has no activation='relu': pass runtime='auto'"),
        ({"runtime": "cudnn", "reset_after": False}, "runtime='cudnn' has no reset_after=False"),
        ({"runtime": "cudnn", "recurrent_dropout": 0.5}, "runtime='cudnn' has no recurrent_dropout=0.5"),
        ({"runtime": "cudnn", "unroll": True}, "runtime='cudnn' has no unroll=True"),
        (
            {"runtime": "cudnn", "dropout": 0.5, "implementation": 1},
            "runtime='cudnn' has no dropout=0.5 with implementation=1",
        ),
        ({"use_cudnn": True, "use_bias": False}, "use_cudnn=True, but cuDNN has no use_bias=False: pass use_cudnn="),
        ({"use_cudnn": True, "recurrent_dropout": 0.5}, "use_cudnn=True, but cuDNN has no recurrent_dropout=0.5"),
        ({"use_cudnn": True, "runtime": "graph"}, "use_cudnn=True contradicts runtime='graph': pass 'auto' for one"),
        ({"use_cudnn": False, "runtime": "cudnn"}, "use_cudnn=False contradicts runtime='cudnn'"),
    ],
    ids=str,
)
def test_a_contradiction_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        GRU(3, **options)


# ---- Served elsewhere ----------------------------------------------------------------------------


def operation_types(function):
    """The types of all operations of a concrete function and of the functions that it calls."""
    definition = function.graph.as_graph_def()
    nodes = itertools.chain(definition.node, *(f.node_def for f in definition.library.function))
    return {node.op for node in nodes}


def test_an_exported_model_holds_no_operation_of_cudnn(tmp_path, calls):
    layer = GRU(3, return_sequences=True, use_cudnn=True)
    model = keras.Sequential([keras.Input((5, 2)), keras.layers.Masking(), layer])
    x = problem().sequences.astype("float32")
    expected = model(x)
    assert layer.served_by == "cudnn"
    calls.clear()
    model.export(tmp_path / "saved", verbose=False)
    assert not calls
    served = tf.saved_model.load(tmp_path / "saved")
    assert not [kind for kind in operation_types(served.signatures["serving_default"]) if "Cudnn" in kind]
    assert_close(served.serve(x), expected, SAME["float32"])


def test_a_module_saved_by_tensorflow_holds_no_operation_of_cudnn(tmp_path, calls):
    module = tf.Module()
    module.layer = GRU(3)
    module.layer.build((None, None, 2))
    module.serve = tf.function(lambda x: module.layer(x), input_signature=[tf.TensorSpec((None, None, 2))])
    tf.saved_model.save(module, tmp_path)
    assert not calls


# ---- Errors put in on purpose --------------------------------------------------------------------


def _blocks(order, transpose=True, bias_order=(0, 1, 2, 3, 4, 5)):
    """A mutant of the flat buffer."""

    def parameters(kernel, recurrent_kernel, bias, recurrent_bias):
        zeros = tf.zeros_like(recurrent_bias)
        matrices = [tf.split(matrix, 3, 1)[i] for matrix in (kernel, recurrent_kernel) for i in order]
        biases = [*(tf.split(bias, 3)[i] for i in order), zeros, zeros, recurrent_bias]
        blocks = [tf.transpose(m) if transpose else m for m in matrices] + [biases[i] for i in bias_order]
        return tf.concat([tf.reshape(block, [-1]) for block in blocks], 0)

    return "_parameters", parameters


def test_the_mutants_differ_from_a_right_buffer_only_in_their_error():
    inputs = [tf.random.normal(shape) for shape in [(2, 9), (3, 9), (9,), (3,)]]
    np.testing.assert_array_equal(_blocks((1, 0, 2))[1](*inputs), cudnn._parameters(*inputs))


BUFFER_MUTANTS = {
    "gates in the order of Keras": _blocks((0, 1, 2)),
    "candidate first": _blocks((2, 1, 0)),
    "matrices not transposed": _blocks((1, 0, 2), transpose=False),
    "recurrent biases first": _blocks((1, 0, 2), bias_order=(3, 4, 5, 0, 1, 2)),
    "biases in the order of Keras": _blocks((1, 0, 2), bias_order=(1, 0, 2, 3, 4, 5)),
}


@pytest.mark.parametrize("mutant", BUFFER_MUTANTS)
def test_an_error_in_the_buffer_is_caught(mutant, monkeypatch):
    monkeypatch.setattr(cudnn, *BUFFER_MUTANTS[mutant])
    with pytest.raises(AssertionError, match="exceeds"):
        results_are_right("none")


def _later_first(values, k, right=tf.math.top_k):
    values, order = right(tf.reverse(values, [1]), k)
    return values, k - 1 - order


PACKING_MUTANTS = {
    "a sort that is not stable": (tf.math, "top_k", _later_first),
    "read back one step early": (tf, "gather", lambda v, i, right=tf.gather, **o: right(v, tf.maximum(i - 1, 0), **o)),
}


@pytest.mark.parametrize("mutant", PACKING_MUTANTS)
def test_an_error_in_the_packing_is_caught(mutant, monkeypatch):
    monkeypatch.setattr(*PACKING_MUTANTS[mutant])
    with pytest.raises(AssertionError, match="exceeds"):
        results_are_right("random")


@pytest.mark.skipif(ON_GPU, reason="a GPU may not recover from it")
def test_a_row_without_steps_handed_to_cudnn_is_caught(monkeypatch):
    monkeypatch.setattr(tf, "maximum", lambda a, b: a)
    with pytest.raises(tf.errors.InvalidArgumentError, match="CUDNN_STATUS_BAD_PARAM"):
        results_are_right("empty row")
