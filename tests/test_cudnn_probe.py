"""The small case that cuDNN must pass before it serves, on right and wrong models of cuDNN (`cudnn_model`)."""

import warnings

import cudnn_model
import numpy as np
import pytest
import tensorflow as tf
from parity import MODES

from gru_tf import GRU
from gru_tf.runtimes import cudnn

DTYPES = ["float32", "float64", "float16", "bfloat16"]
OPERATIONS = {"CudnnRNNV2": cudnn_model.rnn_v2, "CudnnRNNV3": cudnn_model.rnn_v3}


@pytest.fixture(autouse=True)
def install(monkeypatch):
    """Put a model in place of an operation, or the right ones in place of both; returns the list of calls."""
    calls = []

    def install(models):
        for name, model in models.items():
            serve = lambda name=name, model=model, **options: calls.append(name) or model(**options)  # noqa: E731
            monkeypatch.setattr(tf.raw_ops, name, serve)
        return calls

    monkeypatch.setattr(cudnn, "available", lambda: True)
    cudnn.disagreement.cache_clear()
    install(OPERATIONS)
    yield install
    cudnn.disagreement.cache_clear()


# ---- Wrong models: each takes a right one --------------------------------------------------------


def with_blocks(change):
    """Handed other blocks: the six matrices and the six biases, for the reset, the update and the new gate."""

    def wrong(model):
        def call(**options):
            blocks = cudnn_model.unpacked(options["params"], options["input"].shape[-1], options["input_h"].shape[-1])
            params = tf.concat([tf.reshape(block, [-1]) for block in change(blocks)], 0)
            return model(**{**options, "params": params})

        return call

    return wrong


def in_order(*order):
    return with_blocks(lambda blocks: [blocks[i] for i in order])


def without(i):
    return with_blocks(lambda blocks: [*blocks[:i], tf.zeros_like(blocks[i]), *blocks[i + 1 :]])


def with_outputs(change):
    def wrong(model):
        def call(**options):
            outputs, *rest = model(**options)
            return change(outputs), *rest

        return call

    return wrong


def where_training_is(training, wrong):
    return lambda model: lambda **options: (wrong(model) if options["is_training"] is training else model)(**options)


def without_the_last_step(model):
    """Lengths that are one too short."""
    return lambda **options: model(**{**options, "sequence_lengths": tf.maximum(options["sequence_lengths"] - 1, 1)})


WRONG = {
    **{f"no block {i}": without(i) for i in (*range(9), 11)},  # the recurrent biases 9 and 10 are in 6 and 7
    "update gate before reset gate": in_order(1, 0, 2, 4, 3, 5, 7, 6, 8, 10, 9, 11),
    "matrices of the state in another order": in_order(0, 1, 2, 4, 3, 5, *range(6, 12)),
    "the two rows of biases exchanged": in_order(*range(6), 9, 10, 11, 6, 7, 8),
    "half the gradient": with_outputs(lambda outputs: tf.stop_gradient(outputs / 2) + outputs / 2),
    "no gradient": with_outputs(lambda outputs: tf.stop_gradient(outputs) + 0 * outputs),
    "NaN": with_outputs(lambda outputs: outputs * np.nan),
    "wrong in training": where_training_is(True, without(3)),
    "wrong in inference": where_training_is(False, without(3)),
}
CASES = [(operation, wrong) for operation in OPERATIONS for wrong in WRONG.values()]
NAMES = [f"{operation}: {name}" for operation in OPERATIONS for name in WRONG]


@pytest.mark.parametrize(
    ("operation", "wrong"),
    [*CASES, ("CudnnRNNV3", without_the_last_step)],
    ids=[*NAMES, "CudnnRNNV3: lengths one too short"],
)
def test_a_wrong_cudnn_does_not_serve(operation, wrong, install):
    install({operation: wrong(OPERATIONS[operation])})
    with pytest.warns(UserWarning, match="cuDNN does not serve, as it fails a small case in float32: .* differs by"):
        text = cudnn.disagreement("float32")
    assert ("with no mask" in text) is (operation == "CudnnRNNV2")


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_right_cudnn_serves_and_is_tried_once(dtype, install):
    calls = install({})
    assert cudnn.disagreement(dtype) is None
    assert set(calls) == set(OPERATIONS)
    calls.clear()
    assert cudnn.disagreement(dtype) is None
    assert not calls


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_a_wrong_cudnn_is_found_in_other_dtypes(dtype, install):
    install({"CudnnRNNV3": without(11)(cudnn_model.rnn_v3)})
    with pytest.warns(UserWarning, match=dtype):
        assert cudnn.disagreement(dtype)


def test_float64_is_compared_in_float64(install):
    install({"CudnnRNNV2": with_outputs(lambda outputs: outputs * (1 + 1e-7))(cudnn_model.rnn_v2)})
    with pytest.warns(UserWarning, match="1e-07 of the largest value"):
        assert cudnn.disagreement("float64")
    assert cudnn.disagreement("float32") is None


# ---- What the layer makes of it ------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_the_fused_runtime_serves_in_place_of_a_wrong_cudnn(mode, install):
    install({"CudnnRNNV2": without(3)(cudnn_model.rnn_v2)})
    layer, x = GRU(3), tf.random.normal((4, 5, 2), seed=0)
    layer.build(x.shape)
    with pytest.warns(UserWarning, match="cuDNN does not serve") as caught:
        served = MODES[mode](lambda x: (layer(x), layer(x))[0])(x)
    assert len(caught) == 1
    assert layer.served_by in ("graph", "xla")
    trusted = GRU(3, runtime="portable")
    trusted.build(x.shape)
    trusted.set_weights(layer.get_weights())
    np.testing.assert_allclose(served, trusted(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("asked", [{"use_cudnn": True}, {"runtime": "cudnn"}], ids=str)
@pytest.mark.filterwarnings("ignore:cuDNN does not serve")
def test_a_wrong_cudnn_insisted_on_is_an_error(asked, mode, install):
    install({"CudnnRNNV3": without(11)(cudnn_model.rnn_v3)})
    call = MODES[mode](GRU(3, **asked))
    with pytest.raises(ValueError, match="asks for cuDNN, but it fails .* with a mask .* differs by .*: pass 'auto'"):
        call(tf.zeros((4, 5, 2)))


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_a_right_cudnn_serves_the_layer_without_a_word(mode):
    layer = GRU(3)
    with warnings.catch_warnings(), tf.GradientTape() as tape:
        warnings.simplefilter("error")
        x = tf.ones((4, 5, 2))
        tape.watch(x)
        total = tf.reduce_sum(MODES[mode](layer)(x))
    assert layer.served_by == "cudnn"
    assert np.any(tape.gradient(total, x))


def test_a_cudnn_that_cannot_run_does_not_serve(install):
    def fail(**options):
        raise tf.errors.UnknownError(None, None, "CUDNN_STATUS_NOT_INITIALIZED")

    install({"CudnnRNNV2": fail})
    with pytest.warns(UserWarning, match="CUDNN_STATUS_NOT_INITIALIZED"):
        GRU(3)(tf.zeros((4, 5, 2)))


def test_no_gpu_no_case(monkeypatch, install):
    monkeypatch.setattr(cudnn, "available", lambda: False)
    GRU(3)(tf.zeros((4, 5, 2)))
    assert not install({})
