"""What a trace is for decides who serves it: export, debug modes, forward-mode derivatives, many shapes, sessions."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from parity import assert_close, load, problem

from gru_tf import GRU, MinGRU, tracing
from gru_tf.runtimes import FUSED, fused

X = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")
SPEC = tf.TensorSpec(X.shape)


def model_of(layer):
    model = keras.Sequential([keras.Input(X.shape[1:]), layer])
    model.compile("sgd", "mse")
    return model


def compiled_functions(concrete):
    return [f.signature.name for f in concrete.graph.as_graph_def().library.function if f.attr["_XlaMustCompile"].b]


def called(function):
    function(tf.constant(X))


def called_under_a_tape(function):
    with tf.GradientTape():
        function(tf.constant(X))


@pytest.mark.parametrize("before", [lambda function: None, called, called_under_a_tape])
@pytest.mark.parametrize("runtime", ["auto", "xla"])
def test_what_is_exported_does_not_depend_on_what_ran_before(runtime, before):
    layer = GRU(4, runtime=runtime)
    model = model_of(layer)
    model.predict(X, batch_size=4, verbose=0)
    assert layer.served_by == "xla"
    function = tf.function(model)
    before(function)
    concrete = function.get_concrete_function(SPEC)
    assert layer.served_by == "graph"
    assert not compiled_functions(concrete)


EXPORTED = {
    "default": {},
    "sequences": {"return_sequences": True},
    "reset before": {"reset_after": False},
    "backwards": {"go_backwards": True},
    "unrolled": {"unroll": True, "return_sequences": True},
    "relu": {"activation": "relu"},
    "portable": {"runtime": "portable"},
    "xla": {"runtime": "xla"},
}


@pytest.mark.parametrize("options", EXPORTED.values(), ids=EXPORTED)
def test_onnxruntime_computes_what_an_exported_model_does(options, tmp_path):
    # keras 21799, tensorflow-onnx 1684: the file had operations that ONNX does not have.
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = model_of(GRU(4, **options))
    expected = model(X)
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    (output,) = session.run(None, {session.get_inputs()[0].name: X})
    assert_close(output, expected, 1e-6)


@pytest.fixture
def numerics_checked():
    tf.debugging.enable_check_numerics()
    yield tf.debugging.disable_check_numerics
    tf.debugging.disable_check_numerics()


@pytest.mark.parametrize("layer", [GRU(4), GRU(4, runtime="xla"), GRU(4, runtime="graph"), MinGRU(4)])
def test_a_debug_mode_works_and_leaves_nothing_behind(layer, numerics_checked):
    # tensorflow 59215: XLA has no operation that checks numbers.
    model = model_of(layer)
    model.predict(X, verbose=0)
    model.fit(X, np.ones((4, 4)), verbose=0)
    with_nan = np.where(np.arange(6)[:, None] == 2, np.nan, X)
    with pytest.raises(tf.errors.InvalidArgumentError, match="NaN|nan"):
        layer(with_nan)
    numerics_checked()
    assert np.isnan(layer(with_nan)).any()


@pytest.mark.parametrize("runtime", ["auto", *FUSED])
def test_forward_mode_derivatives_equal_central_differences(runtime):
    p = problem()
    layer = load(GRU(p.units, runtime=runtime, dtype="float64"), p)
    x, kernel = tf.constant(p.sequences), layer.cell.kernel.value
    direction = tf.constant(np.random.default_rng(1).normal(size=x.shape))

    def derivatives():
        with tf.autodiff.ForwardAccumulator([x, kernel], [direction, tf.zeros_like(kernel)]) as accumulator:
            output = layer(x)
        return accumulator.jvp(output)

    step = 1e-5
    expected = (layer(x + step * direction) - layer(x - step * direction)) / (2 * step)
    assert_close(derivatives(), expected, 1e-8)


def test_auto_stops_compiling_after_a_few_shapes():
    layer, served = GRU(4), []
    step = tf.function(lambda x: layer(x, training=True))
    for steps in (3, 4, 5, 6):
        step(tf.ones((2, steps, 3)))
        served.append(layer.served_by)
    assert served == ["xla"] * fused.SHAPES + ["graph"] * (4 - fused.SHAPES)


def test_programs_go_with_the_session_and_are_bounded(monkeypatch):
    monkeypatch.setattr(tracing, "PROGRAMS", 3)
    keras.backend.clear_session()

    def alive():
        gc.collect()
        functions = (o for o in gc.get_objects() if isinstance(o, tf.types.experimental.PolymorphicFunction))
        return sum(getattr(f.python_function, "func", None) is fused.run for f in functions)

    for units in range(2, 8):
        GRU(units)(X)
    assert alive() == 3
    keras.backend.clear_session()
    assert alive() == 0
