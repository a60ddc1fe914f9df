"""A trained model leaves the process: `.keras`, weights, SavedModel in a process without `gru_tf`, and TFLite."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from parity import SAME, assert_close
from tensorflow.core.protobuf import saved_model_pb2

from gru_tf import GRU
from gru_tf.runtimes import EVERYWHERE

TOKENS = np.array([[1, 2, 3, 0, 0], [4, 0, 2, 1, 0], [0, 0, 0, 0, 0]])
STATE = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
SEQUENCES = np.random.default_rng(1).normal(size=(3, 5, 2)).astype("float32")


def seeded(function):
    def make(*args):
        keras.utils.set_random_seed(1)
        return function(*args)

    return make


@seeded
def masked_model(runtime):
    """Tokens (B, T) with padding and a state (B, 4), through a bidirectional layer and a portable one."""
    tokens, state = keras.Input((None,)), keras.Input((4,))
    x = keras.layers.Embedding(5, 2, mask_zero=True)(tokens)
    both = keras.layers.Bidirectional(GRU(4, return_sequences=True, return_state=True, runtime=runtime))
    x, *last = both(x, initial_state=[state, state])
    return keras.Model([tokens, state], [x, *last, GRU(3, runtime="portable")(x)])


@seeded
def stateful_model():
    """A layer that keeps its state from call to call, for three sequences."""
    return keras.Sequential([keras.Input(batch_shape=(3, None, 2)), GRU(4, stateful=True)])


# ---- Keras's own formats -------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", EVERYWHERE)
def test_a_saved_model_and_saved_weights_give_the_same_outputs(runtime, tmp_path):
    model = masked_model(runtime)
    expected = model([TOKENS, STATE])
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    fresh = keras.models.clone_model(model)
    fresh.load_weights(tmp_path / "model.weights.h5")
    for other in (loaded, fresh):
        for ours, again in zip(expected, other([TOKENS, STATE]), strict=True):
            np.testing.assert_array_equal(ours, again)


def test_a_saved_stateful_layer_starts_anew_like_that_of_keras(tmp_path):
    model = stateful_model()
    first, second = model(SEQUENCES), model(SEQUENCES)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for expected in (first, second):
        assert_close(loaded(SEQUENCES), expected, SAME["float32"])


# ---- SavedModel ----------------------------------------------------------------------------------

# Runs without this project: loads each export and calls it with each set of inputs.
SERVE = """
import sys
import numpy as np, tensorflow as tf

folder = sys.argv[1]
for name, calls in (("masked", "ab"), ("stateful", "cc")):
    model = tf.saved_model.load(f"{folder}/{name}")
    for i, call in enumerate(calls):
        inputs = [tf.constant(v) for v in np.load(f"{folder}/{call}.npz").values()]
        outputs = tf.nest.flatten(model.serve(inputs if len(inputs) > 1 else inputs[0]))
        np.savez(f"{folder}/{name}-{i}.npz", *outputs)
assert "gru_tf" not in sys.modules
"""


def nodes_and_functions(folder):
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    functions = list(graph.library.function)
    return [*graph.node, *(node for function in functions for node in function.node_def)], functions


def test_an_export_serves_in_a_process_without_this_package(tmp_path):
    inputs = {"a": [TOKENS.astype("float32"), STATE], "c": [SEQUENCES]}
    inputs["b"] = [np.array([[3, 0, 4, 1, 2, 2, 0]], "float32"), STATE[:1]]
    for name, values in inputs.items():
        np.savez(tmp_path / name, *values)
    models = {
        "masked": (masked_model("xla"), None),
        "stateful": (stateful_model(), [tf.TensorSpec((3, 5, 2))]),  # in a graph with this shape "xla" serves
    }
    for name, (model, signature) in models.items():
        model.export(tmp_path / name, verbose=False, input_signature=signature)
        nodes, functions = nodes_and_functions(tmp_path / name)
        assert not [node.name for node in nodes if "GPU" in node.device]
        assert not [node.op for node in nodes if "udnn" in node.op]
        assert not [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]

    subprocess.run([sys.executable, "-c", SERVE, str(tmp_path)], check=True, cwd=tmp_path)
    for name, calls in {"masked": "ab", "stateful": "cc"}.items():
        for i, call in enumerate(calls):
            model, arrays = models[name][0], inputs[call]
            expected = keras.tree.flatten(model(arrays if len(arrays) > 1 else arrays[0]))
            for got, wanted in zip(np.load(tmp_path / f"{name}-{i}.npz").values(), expected, strict=True):
                assert_close(got, wanted, SAME["float32"], name)


# ---- TFLite --------------------------------------------------------------------------------------


def to_tflite(model, folder, signature=None):
    """The model with TFLite's own operations alone, none of TensorFlow's."""
    model.export(folder, verbose=False, input_signature=signature)
    return tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert()


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_tflite_computes_the_same_for_a_fixed_batch_size_and_any_length(tmp_path):
    model = masked_model("xla")
    signature = [[tf.TensorSpec((1, None)), tf.TensorSpec((1, 4))]]
    serve = tf.lite.Interpreter(model_content=to_tflite(model, tmp_path, signature)).get_signature_runner()
    names = sorted(serve.get_input_details())
    for row, steps in ((0, 5), (1, 3)):
        inputs = [TOKENS[row : row + 1, :steps].astype("float32"), STATE[row : row + 1]]
        outputs = serve(**dict(zip(names, inputs, strict=True)))
        for i, wanted in enumerate(model(inputs)):
            assert_close(outputs[f"output_{i}"], wanted, SAME["float32"])


@pytest.mark.parametrize("layer_class", [GRU, keras.layers.GRU])
def test_tflite_has_no_loop_for_an_unknown_batch_size_ours_or_of_keras(layer_class, tmp_path):
    model = keras.Sequential([keras.Input((5, 2)), layer_class(4)])
    with pytest.raises(Exception, match="'tf.TensorListReserve' op requires element_shape to be static"):
        to_tflite(model, tmp_path)
