"""Moving weights: PyTorch's own outputs, ONNX's evaluators, round trips to the last bit, and every refusal."""

import importlib
import json
import sys
from operator import attrgetter
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_gru import GRU as EvaluatedGRU
from parity import covering_rows

import gru_tf
from gru_tf import GRU, GRUCell, weights

# Largest difference of an output, all of which lie between -1 and 1.
SAME = {"float32": 1e-6, "float64": 1e-12}

with np.load(Path(__file__).parent / "golden" / "torch_weights.npz") as file:
    GOLDEN = {}
    for key, array in file.items():
        case, name = key.split("/")
        GOLDEN.setdefault(case, {})[name] = array
CALL = ("sequences", "initial_state", "outputs", "state")
LARGEST = "layers2_both_bias_float64"


def state_dict_of(case):
    return {name: array for name, array in GOLDEN[case].items() if name not in CALL}


def new_stack(
    depth=1, direction="forward", *, layer_class=GRU, units=4, last_sequence=True, dtype="float64", **options
):
    """Layers without weights, all alike; the last may put out no sequence."""
    layers = []
    for k in range(depth):
        layer = layer_class(
            units,
            return_sequences=last_sequence or k < depth - 1,
            go_backwards=direction == "reverse",
            dtype=dtype,
            **options,
        )
        layers.append(keras.layers.Bidirectional(layer, dtype=dtype) if direction == "bidirectional" else layer)
    return layers


def filled_stack(*args, features=3, seed=0, **options):
    """Layers with random weights."""
    layers = new_stack(*args, **options)
    chance = np.random.default_rng(seed)
    for layer in layers:
        layer.build((None, None, features))
        layer.set_weights([chance.normal(scale=0.5, size=weight.shape) for weight in layer.weights])
        features = layer.compute_output_shape((None, 1, features))[-1]
    return layers


def run(layers, sequences, initial_states=None, mask=None):
    """What the last layer puts out."""
    outputs = tf.constant(sequences)
    for k, layer in enumerate(layers):
        states = None if initial_states is None else [tf.constant(state) for state in initial_states[k]]
        outputs = layer(outputs, initial_state=states, mask=None if mask is None else tf.constant(mask))
    return outputs.numpy()


def assert_near(actual, expected, tolerance):
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    error = np.abs(actual - expected).max()
    assert error <= tolerance, f"error {error:.2e} exceeds {tolerance:.0e}"


def assert_identical(actual, expected):
    """Compare two lists or dicts of arrays, bit by bit."""
    if isinstance(expected, dict):
        assert list(actual) == list(expected)
        actual, expected = list(actual.values()), list(expected.values())
    assert len(actual) == len(expected)
    for got, wanted in zip(actual, expected, strict=True):
        assert (got.dtype, got.shape, got.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())


def all_weights(layers):
    return [weight for layer in layers for weight in layer.get_weights()]


# PyTorch


def check_golden(case, layers=None):
    """The layers with the case's weights put out what PyTorch put out."""
    golden = GOLDEN[case]
    layers = weights.from_torch(state_dict_of(case), layers)
    depth, dtype = int(case[6]), case.split("_")[-1]
    initial_states = np.split(golden["initial_state"], depth)
    outputs = run(layers, golden["sequences"], initial_states)
    assert outputs.dtype == dtype
    assert_near(outputs, golden["outputs"], SAME[dtype])
    forward, *backward = np.split(outputs, 2 if "both" in case else 1, axis=2)
    state = [forward[:, -1], *(sequence[:, 0] for sequence in backward)]
    assert_near(np.stack(state), golden["state"][-len(state) :], SAME[dtype])


def stack_for(case, **options):
    direction = "bidirectional" if "both" in case else "forward"
    bias = "_bias" in case
    return new_stack(int(case[6]), direction, dtype=case.split("_")[-1], use_bias=bias, **options)


@pytest.mark.parametrize("case", GOLDEN)
def test_new_layers_put_out_what_pytorch_did(case):
    check_golden(case)


@pytest.mark.parametrize("options", [{"layer_class": keras.layers.GRU}, {"update_gate": "write"}], ids=str)
@pytest.mark.parametrize("case", [case for case in GOLDEN if "layers2" in case])
def test_given_layers_put_out_what_pytorch_did(case, options):
    check_golden(case, stack_for(case, **options))


def test_a_layer_around_a_cell_is_loaded_too():
    case = "layers1_forward_bias_float64"
    check_golden(case, keras.layers.RNN(GRUCell(4, dtype="float64"), return_sequences=True, dtype="float64"))
    check_golden(case, keras.layers.RNN(keras.layers.GRUCell(4, dtype="float64"), True, dtype="float64"))


@pytest.mark.parametrize("options", [{}, {"update_gate": "write"}, {"layer_class": keras.layers.GRU}], ids=str)
@pytest.mark.parametrize("case", GOLDEN)
def test_a_state_dict_comes_back_as_it_went(case, options):
    given = state_dict_of(case)
    back = weights.to_torch(weights.from_torch(given, stack_for(case, **options)))
    assert_identical(back, given)
    assert all(array.flags["C_CONTIGUOUS"] for array in back.values())


def test_a_prefix_picks_one_module_out_of_a_larger_one():
    given = state_dict_of(LARGEST)
    larger = {f"encoder.gru.{name}": array for name, array in given.items()} | {"head.weight": np.zeros(2, "float16")}
    layers = weights.from_torch(larger, prefix="encoder.gru.")
    assert_identical(weights.to_torch(layers), given)
    assert list(weights.to_torch(layers, prefix="encoder.gru.")) == [*larger][:-1]


def cell_dict(case="layers1_forward_bias_float64", prefix=""):
    """The `state_dict` of a GRUCell with the weights of a GRU of one layer."""
    return {prefix + name.removesuffix("_l0"): array for name, array in state_dict_of(case).items()}


@pytest.mark.parametrize("case", [case for case in GOLDEN if "layers1_forward" in case])
def test_the_state_dict_of_a_cell_is_taken(case):
    expected = weights.from_torch(state_dict_of(case))
    assert_identical(all_weights(weights.from_torch(cell_dict(case))), all_weights(expected))
    given = new_stack(use_bias="_bias" in case, dtype=case.split("_")[-1], update_gate="write")
    larger = cell_dict(case, "decoder.") | {"head.weight": np.zeros(2)}
    assert_identical(weights.to_torch(weights.from_torch(larger, given, prefix="decoder.")), state_dict_of(case))


STACKS = st.fixed_dictionaries(
    {
        "depth": st.integers(1, 3),
        "direction": st.sampled_from(["forward", "bidirectional"]),
        "layer_class": st.sampled_from([GRU, keras.layers.GRU]),
        "units": st.integers(1, 5),
        "use_bias": st.booleans(),
        "dtype": st.sampled_from(["float32", "float64"]),
    }
)


@settings(max_examples=20)
@given(stack=STACKS, features=st.integers(1, 4), write=st.booleans(), seed=st.integers(0, 99))
def test_any_stack_goes_to_pytorch_and_back(stack, features, write, seed):
    polarity = {"update_gate": "write"} if write and stack["layer_class"] is GRU else {}
    layers = filled_stack(**stack, **polarity, features=features, seed=seed)
    moved = weights.to_torch(layers)
    assert_identical(all_weights(weights.from_torch(moved, new_stack(**stack, **polarity))), all_weights(layers))
    sequences = np.random.default_rng(seed).normal(size=(2, 3, features)).astype(stack["dtype"])
    # Without the layers, the other polarity and class compute the same.
    assert_near(run(weights.from_torch(moved), sequences), run(layers, sequences), SAME[stack["dtype"]])


@pytest.mark.parametrize("case", ["layers1_forward_nobias_float32", LARGEST])
def test_a_safetensors_file_is_read(case, tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy", reason="the package safetensors is not installed")
    given = state_dict_of(case)
    moved = weights.to_torch(weights.from_torch(given), prefix="gru.")
    numpy_files.save_file(moved | {"other": np.zeros(3, "float16")}, tmp_path / "model.safetensors")
    for path in (tmp_path / "model.safetensors", str(tmp_path / "model.safetensors")):
        assert_identical(weights.to_torch(weights.from_torch(path, prefix="gru.")), given)


def test_a_tensor_of_half_precision_in_a_safetensors_file_is_named(tmp_path):
    pytest.importorskip("safetensors", reason="the package safetensors is not installed")
    empty = {"dtype": "BF16", "shape": [0, 0], "data_offsets": [0, 0]}
    header = json.dumps({"weight_ih_l0": empty, "weight_hh_l0": empty}).encode()
    path = tmp_path / "half.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match="weight_hh_l0 is bfloat16: expected float32 or float64. Convert the tensors"):
        weights.from_torch(path)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("depth", [1, 2])
def test_pytorch_itself_agrees_both_ways(depth, both, bias):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; the golden file stands in for it")
    torch.manual_seed(depth)
    options = {"num_layers": depth, "bidirectional": both, "bias": bias, "batch_first": True, "dtype": torch.float64}
    theirs, second = (torch.nn.GRU(3, 5, **options) for _ in range(2))
    sequences = np.random.default_rng(0).normal(size=(2, 6, 3))
    with torch.no_grad():
        expected = theirs(torch.from_numpy(sequences))[0].numpy()
        layers = weights.from_torch(theirs.state_dict())
        assert_near(run(layers, sequences), expected, SAME["float64"])
        moved = {name: torch.from_numpy(array) for name, array in weights.to_torch(layers).items()}
        second.load_state_dict(moved)  # strict: neither missing nor unexpected keys
        assert_near(second(torch.from_numpy(sequences))[0].numpy(), expected, 0)
    with pytest.raises(ValueError, match="weight_ih_l0 is no NumPy array.*requires grad.*detach"):
        weights.from_torch(dict(theirs.named_parameters()))
    half = {name: tensor.bfloat16() for name, tensor in theirs.state_dict().items()}
    with pytest.raises(ValueError, match="weight_ih_l0 is no NumPy array.*BFloat16"):
        weights.from_torch(half)
    with pytest.raises(TypeError, match="state_dict is a GRU: pass the state_dict()"):
        weights.from_torch(theirs)


def test_a_cell_of_pytorch_itself_is_taken_once_its_weights_are_whole():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    cell = torch.nn.GRUCell(3, 5)
    sequences = torch.randn(2, 1, 3)
    [layer] = weights.from_torch(cell.state_dict())
    with torch.no_grad():
        assert_near(run([layer], sequences.numpy())[:, 0], cell(sequences[:, 0]).numpy(), SAME["float32"])
    torch.nn.utils.parametrizations.weight_norm(cell, "weight_hh")
    with pytest.raises(ValueError, match=r"part of weight_hh: .*remove_parametrizations"):
        weights.from_torch(cell.state_dict())
    torch.nn.utils.parametrize.remove_parametrizations(cell, "weight_hh")
    weights.from_torch(cell.state_dict())


# ONNX


class GRUWithLengths(EvaluatedGRU):
    """ONNX's reference evaluator, which takes all steps, row by row: each over its real steps, then zeros."""

    op_domain = ""

    def __init__(self, onnx_node, run_params):
        super().__init__(onnx_node, run_params)
        self.n_outputs = 2

    def _run(self, X, W, R, B=None, sequence_lens=None, initial_h=None, **attributes):
        all_steps, states = [], []
        for row, length in enumerate(sequence_lens):
            h = None if initial_h is None else initial_h[:, [row]]
            Y, Y_h = super()._run(X[:length, [row]], W, R, B, None, h, **attributes)
            all_steps.append(np.pad(Y, [(0, len(X) - length), (0, 0), (0, 0), (0, 0)]))
            states.append(Y_h)
        return np.concatenate(all_steps, axis=2), np.concatenate(states, axis=1)


GRUWithLengths.__name__ = "GRU"  # the operator that it stands in for


def evaluate(model, inputs, output="output", **options):
    return ReferenceEvaluator(model, **options).run([output], inputs)[0]


def in_onnxruntime(model, inputs):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(["output"], inputs)[0]


ONNX_OPTIONS = {
    "depth": [1, 2],
    "direction": ["forward", "reverse", "bidirectional"],
    "reset_after": [True, False],
    "use_bias": [True, False],
    "last_sequence": [True, False],
    "dtype": ["float32", "float64"],
    "layer_class": [GRU, keras.layers.GRU],
}
ONNX_ROWS = covering_rows(ONNX_OPTIONS)


def random_sequences(dtype="float64", batch=3, steps=5, features=3):
    return np.random.default_rng(1).normal(size=(batch, steps, features)).astype(dtype)


def check_onnx(options):
    layers = filled_stack(**options)
    model = weights.to_onnx(layers)
    onnx.checker.check_model(model, full_check=True)
    sequences = random_sequences(options.get("dtype", "float64"))
    expected = run(layers, sequences)
    actual = evaluate(model, {"sequences": sequences})
    assert actual.dtype == expected.dtype
    assert_near(actual, expected, SAME[expected.dtype.name])
    return model, layers


@pytest.mark.parametrize("row", ONNX_ROWS, ids=str)
def test_the_evaluator_of_onnx_puts_out_what_the_layers_do(row):
    model, layers = check_onnx(row)
    assert_identical(all_weights(weights.from_onnx(model)), all_weights(layers))
    for theirs in (weights.from_onnx(model), weights.from_onnx(model, new_stack(**row))):
        assert [layer.get_config().get("go_backwards") for layer in theirs] == [
            layer.get_config().get("go_backwards") for layer in layers
        ]
        assert_identical(all_weights(theirs), all_weights(layers))


@pytest.mark.parametrize("row", [row for row in ONNX_ROWS if row["layer_class"] is GRU], ids=str)
def test_the_writing_polarity_is_turned_round(row):
    model, layers = check_onnx({**row, "update_gate": "write"})
    assert_identical(all_weights(weights.from_onnx(model, new_stack(**row, update_gate="write"))), all_weights(layers))


@pytest.mark.parametrize("row", [row for row in ONNX_ROWS if row["dtype"] == "float32"], ids=str)
def test_onnxruntime_puts_out_what_the_layers_do(row):
    layers = filled_stack(**row)
    sequences = random_sequences("float32")
    actual = in_onnxruntime(weights.to_onnx(layers), {"sequences": sequences})
    assert_near(actual, run(layers, sequences), SAME["float32"])


def lengths_and_mask():
    lengths = np.array([5, 1, 3], "int32")
    return lengths, np.arange(5) < lengths[:, None]


LENGTH_ROWS = [
    {**row, "layer_class": GRU}
    for row in covering_rows({name: values for name, values in ONNX_OPTIONS.items() if name != "layer_class"})
    if row["depth"] == 1 or row["direction"] != "reverse"
]


def check_lengths(row, evaluate):
    layers = filled_stack(**row, zero_output_for_mask=row["last_sequence"])
    lengths, mask = lengths_and_mask()
    sequences = random_sequences(row["dtype"])
    model = weights.to_onnx(layers, sequence_lens=True)
    onnx.checker.check_model(model, full_check=True)
    actual = evaluate(model, {"sequences": sequences, "sequence_lens": lengths})
    assert_near(actual, run(layers, sequences, mask=mask), SAME[row["dtype"]])


def with_lengths(model, inputs):
    return evaluate(model, inputs, new_ops=[GRUWithLengths])


@pytest.mark.parametrize("row", LENGTH_ROWS, ids=str)
def test_lengths_are_a_mask(row):
    check_lengths(row, with_lengths)


@pytest.mark.parametrize("row", [row for row in LENGTH_ROWS if row["dtype"] == "float32"], ids=str)
def test_lengths_are_a_mask_in_onnxruntime(row):
    check_lengths(row, in_onnxruntime)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_states_go_in_and_come_out(direction):
    layers = filled_stack(2, direction)
    model = weights.to_onnx(layers, states=True)
    onnx.checker.check_model(model, full_check=True)
    sequences = random_sequences()
    directions = 2 if direction == "bidirectional" else 1
    initial_states = np.random.default_rng(2).normal(size=(2, directions, 3, 4))
    inputs = {"sequences": sequences, "initial_state_l0": initial_states[0], "initial_state_l1": initial_states[1]}
    below, outputs, *states = ReferenceEvaluator(model).run(["hidden_l1", "output", "state_l0", "state_l1"], inputs)
    assert_near(outputs, run(layers, sequences, initial_states), SAME["float64"])
    for state, steps in zip(states, (below.swapaxes(0, 1), outputs), strict=True):
        forward, *backward = np.split(steps, directions, axis=2)
        np.testing.assert_array_equal(state, np.stack([forward[:, -1], *(steps[:, 0] for steps in backward)]))


def test_a_sequence_in_two_parts_passes_its_state_on():
    model = weights.to_onnx(filled_stack(1), states=True)
    sequences = random_sequences()
    evaluator = ReferenceEvaluator(model)
    outputs, state = np.zeros((3, 0, 4)), np.zeros((1, 3, 4))
    for part in (sequences[:, :2], sequences[:, 2:]):
        more, state = evaluator.run(None, {"sequences": part, "initial_state_l0": state})
        outputs = np.concatenate([outputs, more], axis=1)
    np.testing.assert_array_equal(outputs, evaluate(weights.to_onnx(filled_stack(1)), {"sequences": sequences}))


@settings(max_examples=20)
@given(
    stack=STACKS,
    direction=st.sampled_from(["forward", "reverse", "bidirectional"]),
    reset_after=st.booleans(),
    write=st.booleans(),
    features=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_any_stack_goes_to_onnx_and_back(stack, direction, reset_after, write, features, seed):
    polarity = {"update_gate": "write"} if write and stack["layer_class"] is GRU else {}
    options = {**stack, "direction": direction, "reset_after": reset_after, **polarity}
    layers = filled_stack(**options, features=features, seed=seed)
    back = weights.from_onnx(weights.to_onnx(layers), new_stack(**options))
    assert_identical(all_weights(back), all_weights(layers))


def test_a_model_is_read_from_its_file(tmp_path):
    layers = filled_stack(2)
    onnx.save(weights.to_onnx(layers), tmp_path / "gru.onnx")
    assert_identical(all_weights(weights.from_onnx(tmp_path / "gru.onnx")), all_weights(layers))
    assert_identical(all_weights(weights.from_onnx(str(tmp_path / "gru.onnx"))), all_weights(layers))
    assert_identical(all_weights(weights.from_onnx((tmp_path / "gru.onnx").read_bytes())), all_weights(layers))
    with pytest.raises(TypeError, match="model is a dict: pass an onnx.ModelProto, the path of one or its bytes"):
        weights.from_onnx({})


def test_a_model_of_mixed_half_precision_is_moved_in_single_precision():
    layers = filled_stack(dtype="mixed_bfloat16")
    [back] = weights.from_onnx(weights.to_onnx(layers))
    assert back.dtype_policy.name == "float32"
    assert_identical(back.get_weights(), all_weights(layers))


def node_model(
    weights_as="initializer", *, bias=True, features=3, units=4, dtype="float64", directions=1, **attributes
):
    """A model with one GRU node as others may write it: defaults left out, weights in nodes or computed."""
    chance = np.random.default_rng(3)
    shapes = {"W": (directions, 3 * units, features), "R": (directions, 3 * units, units)}
    shapes |= {"B": (directions, 6 * units)} if bias else {}
    tensors = {
        name: onnx.numpy_helper.from_array(chance.normal(size=shape).astype(dtype), name)
        for name, shape in shapes.items()
    }
    nodes = [onnx.helper.make_node("GRU", ["X", *tensors], ["Y"], hidden_size=units, **attributes)]
    initializers = [*tensors.values()]
    if weights_as == "constant":
        nodes = [onnx.helper.make_node("Constant", [], [name], value=t) for name, t in tensors.items()] + nodes
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = onnx.helper.make_graph(
        nodes,
        "theirs",
        [onnx.helper.make_tensor_value_info("X", element, [None, None, features])],
        [onnx.helper.make_tensor_value_info("Y", element, None)],
        [] if weights_as == "constant" else initializers,
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)])


X = "double[steps, batch, 3] X"
GRU_NODE = "Y = GRU <hidden_size = 4> (X, W, R, B)"


def held_arrays():
    """The weights of a GRU of 4 units, for ONNX."""
    chance = np.random.default_rng(3)
    return {name: chance.normal(size=shape) for name, shape in {"W": (1, 12, 3), "R": (1, 12, 4), "B": (1, 24)}.items()}


def written_model(*nodes, inputs=X, without=(), **more):
    """A model of nodes in ONNX's textual form, which holds a GRU's arrays and others."""
    text = f'<ir_version: 8, opset_import: ["" : 17]> g ({inputs}) => (double[a, b, c, d] Y) {{\n'
    model = onnx.parser.parse_model(text + "\n".join(nodes) + "}")
    made = {name for node in model.graph.node for name in node.output}
    fed = {value.name for value in model.graph.input} - more.keys()
    held = {name: array for name, array in (held_arrays() | more).items() if name not in made | fed | {*without}}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in held.items())
    return model


def check_node(model, **inputs):
    """Its layer puts out what the model does."""
    [layer] = weights.from_onnx(model)
    sequences = random_sequences()
    expected = evaluate(model, {"X": sequences.swapaxes(0, 1)} | inputs, "Y")[:, 0].swapaxes(0, 1)
    initial_states = [[inputs["h"][0]]] if "h" in inputs else None
    assert_near(run([layer], sequences, initial_states), expected, SAME["float64"])


# Nodes that make a weight V of an array V_held, and the array.
CHAINS = {
    "transposed": (["{0}_same = Identity ({0}_held)", "{0} = Transpose <perm = [0, 2, 1]> ({0}_same)"], "transposed"),
    "joined": (
        [
            "{0}_sizes = Constant <value_ints = [5, 7]> ()",
            "{0}_a, {0}_b = Split <axis = 1> ({0}_held, {0}_sizes)",
            "{0} = Concat <axis = 1> ({0}_a, {0}_b)",
        ],
        "as it is",
    ),
    "sized by another": (["{0}_size = Shape ({0}_held)", "{0} = Reshape ({0}_held, {0}_size)"], "as it is"),
}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("name", ["W", "R"])
def test_weights_that_nodes_make_of_constants_are_taken(name, chain):
    nodes, kind = CHAINS[chain]
    array = held_arrays()[name]
    held = array.swapaxes(1, 2).copy() if kind == "transposed" else array
    model = written_model(*(node.format(name) for node in nodes), GRU_NODE, **{f"{name}_held": held})
    check_node(model)
    assert_identical(all_weights(weights.from_onnx(model)), all_weights(weights.from_onnx(written_model(GRU_NODE))))


def test_a_node_in_a_function_of_the_model_is_taken():
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g ({X}, double[1, 12, 3] W, double[1, 12, 4] R, double[1, 24] B) => (double[a, b, c, d] Y) {{
            Y = own.unit (X, W, R, B)
        }}
        <domain: "own", opset_import: ["" : 17]> unit (X, W, R, B) => (Y) {{ {GRU_NODE} }}"""
    )
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in held_arrays().items())
    check_node(model)


STARTING = "Y = GRU <hidden_size = 4> (X, W, R, B, , h)"
BATCH_SIZE = [
    "X_size = Shape (X)",
    "one = Constant <value_ints = [1]> ()",
    "place = Constant <value_ints = [1]> ()",
    "batch = Gather (X_size, place)",
    "units = Constant <value_ints = [4]> ()",
    "size = Concat <axis = 0> (one, batch, units)",
]
PART_OF_SIZE = ["batch = Shape <start = 1, end = 2> (X)", "number = Squeeze (batch)", "batch_ = Unsqueeze (number, o)"]
SIZED_BY_PART = [*PART_OF_SIZE, "u = Constant <value_ints = [4]> ()", "size = Concat <axis = 0> (n, batch_, u)"]
STARTS = {
    "held": [],
    "expanded to the batch": [*BATCH_SIZE, "h = Expand (h0, size)"],
    "sized by a part": [*SIZED_BY_PART, "h = Expand (h0, size)"],
    "computed": ["h1 = Tanh (h0)", "h = Neg (h1)"],
}


def model_with_start(how, start):
    name = "h" if how == "held" else "h0"
    return written_model(*STARTS[how], STARTING, **{name: start}, o=np.array([0]), n=np.array([1]))


@pytest.mark.parametrize("how", STARTS)
def test_a_constant_initial_state_is_zeros_or_refused(how):
    start = np.zeros((1, 1 if "size" in "".join(STARTS[how]) else 3, 4))
    check_node(model_with_start(how, start))
    start[0, 0, 2] = 1e-3
    with pytest.raises(ValueError, match="initial_h of GRU node 'Y' is 'h', which is always the same and not zeros"):
        weights.from_onnx(model_with_start(how, start))


def test_an_initial_state_made_of_sizes_alone_is_zeros_or_refused():
    check_node(written_model(*BATCH_SIZE, "h = ConstantOfShape <value = double[1] {0}> (size)", STARTING))
    for node in ("h = ConstantOfShape <value = double[1] {2}> (size)", "h = RandomNormalLike <dtype = 11> (z)"):
        with pytest.raises(ValueError, match="initial_h of GRU node 'Y' is 'h', which is always the same and not"):
            weights.from_onnx(written_model(*BATCH_SIZE, node, STARTING, z=np.zeros((1, 3, 4))))


def test_inputs_and_outputs_that_nodes_leave_out_are_not_one_value():
    nodes = [", P = TopK (X, n)", "h = Clip (h0, , top)", STARTING]
    held = {"n": np.array([1]), "top": np.array(9.0)}
    weights.from_onnx(written_model(*nodes, h0=np.zeros((1, 3, 4)), **held))
    with pytest.raises(ValueError, match="always the same and not zeros"):
        weights.from_onnx(written_model(*nodes, h0=np.ones((1, 3, 4)), **held))


def test_an_initial_state_that_is_fed_is_the_layers_initial_state():
    state = np.random.default_rng(4).normal(size=(1, 3, 4))
    inputs = f"{X}, double[1, batch, 4] h"
    check_node(written_model(STARTING, inputs=inputs), h=state)
    with pytest.raises(ValueError, match="not zeros"):  # a value that is fed unless the caller feeds another
        weights.from_onnx(written_model(STARTING, inputs=inputs, h=state))


def model_with_lengths(inputs=X, options="", **more):
    return written_model(f"Y = GRU <hidden_size = 4{options}> (X, W, R, B, lengths)", inputs=inputs, **more)


def test_constant_lengths_are_those_of_all_steps_or_refused():
    five = np.full(3, 5, "int32")
    check_node(model_with_lengths("double[5, 3, 3] X", lengths=five))
    weights.from_onnx(model_with_lengths("double[3, 5, 3] X", ", layout = 1", lengths=five))
    weights.from_onnx(model_with_lengths(f"{X}, int32[batch] lengths"))
    for inputs, lengths in {X: five, "double[5, 3, 3] X": np.array([5, 4, 5], "int32")}.items():
        with pytest.raises(ValueError, match=r"sequence_lens of GRU node 'Y' is always \[5, .*pass the mask to each"):
            weights.from_onnx(model_with_lengths(inputs, lengths=lengths))


def test_the_layout_of_a_node_changes_no_weight():
    model = written_model("Y = GRU <hidden_size = 4, layout = 1> (X, W, R, B)", inputs="double[batch, steps, 3] X")
    sequences = random_sequences()
    expected = evaluate(model, {"X": sequences}, "Y")[:, :, 0]
    assert_near(run(weights.from_onnx(model), sequences), expected, SAME["float64"])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("weights_as", ["initializer", "constant"])
@pytest.mark.parametrize(
    "attributes",
    [{}, {"linear_before_reset": 1}, {"activations": ["Sigmoid", "Tanh"]}, {"direction": "reverse"}],
    ids=str,
)
def test_a_node_of_another_maker_is_read(attributes, weights_as, bias):
    model = node_model(weights_as, bias=bias, **attributes)
    [layer] = weights.from_onnx(model)
    assert layer.cell.reset_after is bool(attributes.get("linear_before_reset"))
    sequences = random_sequences()
    expected = evaluate(model, {"X": sequences.swapaxes(0, 1)}, "Y")[:, 0].swapaxes(0, 1)
    expected = expected[:, ::-1] if layer.go_backwards else expected
    assert_near(run([layer], sequences), expected, SAME["float64"])


@pytest.mark.parametrize("both", [True, False])
def test_a_model_that_pytorch_exported_is_read(both, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = torch.nn.GRU(3, 4, num_layers=2, bidirectional=both, batch_first=True).eval()
    with pytest.warns():  # the exporter that writes GRU nodes is the old one
        torch.onnx.export(theirs, (torch.zeros(2, 5, 3),), tmp_path / "gru.onnx", dynamo=False)
    expected = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    assert_identical(weights.to_torch(weights.from_onnx(tmp_path / "gru.onnx")), expected)


# Refusals


def changed(case=LARGEST, without=(), **tensors):
    return {name: array for name, array in (state_dict_of(case) | tensors).items() if name not in without}


ONE = "layers1_forward_bias_float64"
BAD_STATE_DICTS = {
    "missing": (changed(without=["bias_hh_l1"]), r"the state_dict lacks bias_hh_l1: expected weight_ih_l0, "),
    "missing first": (changed(without=["weight_hh_l0"]), "the state_dict has no weight_hh_l0, which every GRU has"),
    "no prefix": ({"rnn." + k: v for k, v in changed().items()}, "has no weight_ih_l0.*pass prefix='rnn.'"),
    "no GRU": ({"dense.weight": np.zeros((2, 2))}, "has no weight_ih_l0.*pass the state_dict()"),
    "cell without": ({"weight_ih": np.zeros((12, 3))}, "the state_dict has no weight_hh, which every GRU has"),
    "cell, no prefix": (cell_dict(prefix="rnn."), "has no weight_ih_l0.*pass prefix='rnn.'"),
    "cell, bias": (
        cell_dict() | {"bias_hh": np.zeros(3)},
        r"bias_hh of the state_dict has shape \(3,\): expected \(12,",
    ),
    "cell, LSTM": (cell_dict() | {"weight_ih": np.zeros((16, 3))}, r"weight_ih .* \(16, 3\): expected \(12, 3\).*LSTM"),
    "weight norm": (
        {"a." + name + part: array for name, array in state_dict_of(ONE).items() for part in ("_g", "_v")},
        "holds a.weight_ih_l0_g, a part of weight_ih_l0: .*torch.nn.utils.remove_weight_norm, for .* 'weight_ih_l0'",
    ),
    "parametrized": (
        changed(**{"parametrizations.weight_hh_l1_reverse.original0": np.zeros(1)}),
        "a part of weight_hh_l1_reverse: .*torch.nn.utils.parametrize.remove_parametrizations",
    ),
    "pruned": (changed(weight_hh_l0_orig=np.zeros(1), weight_hh_l0_mask=np.zeros(1)), "torch.nn.utils.prune.remove"),
    "projected": (
        changed(ONE, weight_hh_l0=np.zeros((16, 2)), weight_hr_l0=np.zeros((2, 4))),
        "holds weight_hr_l0, the projection of an LSTM: pass the tensors of a GRU",
    ),
    "extra": (changed(weight_hz_l0=np.zeros((2, 4))), "the state_dict has the unexpected weight_hz_l0: expected"),
    "one direction": (changed(without=["weight_ih_l1_reverse"]), "lacks weight_ih_l1_reverse"),
    "gap": ({k.replace("_l1", "_l2"): v for k, v in changed().items()}, "lacks bias_hh_l1.*unexpected bias_hh_l2"),
    "LSTM": (
        changed(ONE, weight_hh_l0=np.zeros((16, 4))),
        r"weight_hh_l0 of the state_dict has shape \(16, 4\): expected \(12, 4\).*LSTM",
    ),
    "transposed": (changed(ONE, weight_ih_l0=np.zeros((3, 12))), r"weight_ih_l0 .* \(3, 12\): expected \(12, 12\)"),
    "stack": (changed(weight_ih_l1=np.zeros((12, 4))), r"weight_ih_l1 .* has shape \(12, 4\): expected \(12, 8\)"),
    "bias": (changed(ONE, bias_hh_l0=np.zeros((2, 12))), r"bias_hh_l0 .* has shape \(2, 12\): expected \(12,\)"),
    "flat": (changed(ONE, weight_hh_l0=np.zeros(48)), r"weight_hh_l0 has shape \(48,\): expected 2 dimensions"),
    "half": (changed(ONE, weight_hh_l0=np.zeros((12, 4), "float16")), "weight_hh_l0 is float16: expected float32 or"),
    "mixed": (
        changed(ONE, bias_ih_l0=np.zeros(12, "float32")),
        "bias_ih_l0 of the state_dict is float32: expected float64. Convert",
    ),
    "pickle": ("model.pt", "state_dict='model.pt' is no .safetensors file, and a pickled one can run code"),
}


@pytest.mark.parametrize("case", BAD_STATE_DICTS)
def test_a_wrong_state_dict_is_refused(case):
    given, message = BAD_STATE_DICTS[case]
    with pytest.raises(ValueError, match=message):
        weights.from_torch(given)


class OnADevice:
    """A tensor whose values are not in the memory of the CPU."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor")


def test_a_tensor_that_is_no_array_and_a_state_dict_that_is_none_are_refused():
    with pytest.raises(ValueError, match="bias_ih_l0 is no NumPy array.*cuda:0.*convert it in PyTorch, with .detach()"):
        weights.from_torch(changed(ONE, bias_ih_l0=OnADevice()))
    with pytest.raises(TypeError, match="state_dict is a list: pass the state_dict()"):
        weights.from_torch([np.zeros(3)])


def both_ways(forward, backward, **options):
    """A bidirectional layer of two that differ."""
    backward = GRU(return_sequences=True, go_backwards=True, **backward)
    layer = keras.layers.Bidirectional(GRU(return_sequences=True, **forward), backward_layer=backward, **options)
    layer.build((None, None, 3))
    return layer


def swapped_directions():
    backward = GRU(4, return_sequences=True, go_backwards=True)
    layer = keras.layers.Bidirectional(backward, backward_layer=GRU(4, return_sequences=True))
    layer.build((None, None, 3))
    return layer


def summed():
    layer = keras.layers.Bidirectional(GRU(4, return_sequences=True), merge_mode="sum")
    layer.build((None, None, 3))
    return layer


NOT_MOVABLE = {
    "none": (lambda: [], "layers is empty"),
    "no GRU": (lambda: keras.layers.LSTM(4), "layers\\[0\\] .* is a LSTM that is no GRU"),
    "no RNN": (lambda: [*filled_stack(), keras.layers.Dense(2)], "layers\\[1\\] \\('dense.*'\\) is a Dense"),
    "not built": (lambda: GRU(4), "layers\\[0\\] .* has no weights yet: call it, or build it"),
    "activation": (lambda: filled_stack(activation="relu"), "activation='relu': only 'tanh' can be moved"),
    "recurrent activation": (
        lambda: filled_stack(recurrent_activation="hard_sigmoid"),
        "recurrent_activation='hard_sigmoid': only 'sigmoid'",
    ),
    "merge": (summed, "merge_mode='sum': make it with merge_mode='concat'"),
    "directions swapped": (swapped_directions, "forward layer with go_backwards=True: swap"),
    "units of directions": (lambda: both_ways({"units": 4}, {"units": 5}), "units=4 forward and 5 backward"),
    "bias of directions": (
        lambda: both_ways({"units": 4}, {"units": 4, "use_bias": False}),
        "use_bias=True forward and False backward",
    ),
    "reset of directions": (
        lambda: both_ways({"units": 4, "reset_after": False}, {"units": 4}),
        "reset_after=False forward and True backward",
    ),
    "half": (lambda: filled_stack(dtype="float16"), "kernel of layers\\[0\\] .* is float16.*of one dtype, float32 or"),
    "mixed dtypes": (
        lambda: filled_stack(dtype="float64") + filled_stack(dtype="float32", features=4),
        "kernel of layers\\[1\\] .* is float32, that of layers\\[0\\] float64",
    ),
    "no stack": (lambda: filled_stack() + filled_stack(), "kernel of layers\\[1\\] .* has 3 rows: expected 4"),
}
ONLY_PYTORCH = {
    "reset before": (
        lambda: filled_stack(reset_after=False),
        "reset_after=False: PyTorch applies the reset gate after",
    ),
    "backwards": (lambda: filled_stack(1, "reverse"), "go_backwards=True: PyTorch has no lone backward"),
    "units": (lambda: filled_stack() + filled_stack(units=5, features=4), "units 5 but layers\\[0\\] has 4"),
    "biases": (
        lambda: filled_stack() + filled_stack(use_bias=False, features=4),
        "use_bias False but layers\\[0\\] has True",
    ),
    "directions": (
        lambda: filled_stack() + filled_stack(1, "bidirectional", features=4),
        "number of directions 2 but layers\\[0\\] has 1",
    ),
}


@pytest.mark.parametrize("case", [*NOT_MOVABLE, *ONLY_PYTORCH])
def test_layers_that_pytorch_cannot_express_are_refused(case):
    make, message = (NOT_MOVABLE | ONLY_PYTORCH)[case]
    with pytest.raises(ValueError, match=message):
        weights.to_torch(make())


@pytest.mark.parametrize("case", NOT_MOVABLE)
def test_layers_that_onnx_cannot_express_are_refused(case):
    make, message = NOT_MOVABLE[case]
    with pytest.raises(ValueError, match=message):
        weights.to_onnx(make())


@pytest.mark.parametrize("case", ONLY_PYTORCH)
def test_what_only_pytorch_lacks_goes_to_onnx(case):
    make, _ = ONLY_PYTORCH[case]
    layers = make()
    outputs = evaluate(weights.to_onnx(layers), {"sequences": random_sequences()})
    assert_near(outputs, run(layers, random_sequences()), SAME["float64"])


def test_a_stack_that_cannot_hand_on_its_sequence_is_refused():
    layers = [*filled_stack(last_sequence=False), *filled_stack(features=4)]
    with pytest.raises(ValueError, match="layers\\[0\\] .* has a layer above it: make it with return_sequences=True"):
        weights.to_onnx(layers)
    with pytest.raises(ValueError, match="layers\\[0\\] .* go_backwards=True.*Pass sequence_lens=False"):
        weights.to_onnx(filled_stack(2, "reverse"), sequence_lens=True)


GIVEN_LAYERS = {
    "depth": (lambda: new_stack(2), "has the unexpected|lacks"),
    "directions": (lambda: new_stack(1, "bidirectional"), "lacks bias_hh_l0_reverse"),
    "no bias": (lambda: new_stack(use_bias=False), "has the unexpected bias_hh_l0, has the unexpected bias_ih_l0"),
    "units": (lambda: new_stack(units=5), r"weight_ih_l0 .* has shape \(12, 3\): expected \(15, 3\)"),
    "features": (lambda: filled_stack(features=7), r"weight_ih_l0 .* has shape \(12, 3\): expected \(12, 7\)"),
    "dtype": (lambda: new_stack(dtype="float32"), "weight_ih_l0 .* is float64: expected float32"),
    "reset before": (lambda: new_stack(reset_after=False), "reset_after=False: PyTorch"),
    "activation": (lambda: new_stack(activation="relu"), "activation='relu'"),
}


@pytest.mark.parametrize("case", GIVEN_LAYERS)
def test_layers_that_do_not_fit_a_state_dict_are_refused(case):
    make, message = GIVEN_LAYERS[case]
    with pytest.raises(ValueError, match=message):
        weights.from_torch(state_dict_of(ONE), make())


def test_refused_layers_keep_their_weights():
    layers = filled_stack(2, "bidirectional")
    before = all_weights(layers)
    with pytest.raises(ValueError, match="bias_hh_l1_reverse"):
        weights.from_torch(changed(bias_hh_l1_reverse=np.zeros(3)), layers)
    model = weights.to_onnx(filled_stack(2, "bidirectional", seed=1))
    model.graph.initializer[-1].CopyFrom(onnx.numpy_helper.from_array(np.zeros((2, 3)), "B_l1"))
    with pytest.raises(ValueError, match=r"B of GRU node 'gru_l1' has shape \(2, 3\): expected \(2, 24\)"):
        weights.from_onnx(model, layers)
    assert_identical(all_weights(layers), before)


def other_tensor(name, shape, dtype="float64"):
    model = node_model(linear_before_reset=1)
    [tensor] = (tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(shape, dtype), name))
    return model


def no_gru():
    return onnx.parser.parse_model(
        '<ir_version: 7, opset_import: ["" : 14]> g (float[1] x) => (float[1] y) {y = Neg(x)}'
    )


BAD_MODELS = {
    "no node": (no_gru, "model has no GRU node in its main graph"),
    "fed": (
        lambda: written_model("W = Neg (V)", GRU_NODE, inputs=f"{X}, double[1, 12, 3] V"),
        "W of GRU node 'Y' is 'W', which depends on what the model is fed: expected a constant",
    ),
    "from nowhere": (
        lambda: written_model("W = Neg (V)", GRU_NODE),
        "W of GRU node 'Y' is 'W', which cannot be computed",
    ),
    "alpha": (lambda: node_model(activation_alpha=[0.1]), r"GRU node 'Y' has activation_alpha=\[0.1.*\], which no"),
    "hidden_size": (
        lambda: written_model(GRU_NODE.replace("= 4", "= 5")),
        "GRU node 'Y' has hidden_size=5, but its R is for 4: mend one",
    ),
    "branch": (
        lambda: written_model(
            f"P = If (yes) <then_branch = t () => (double[a, b, c, d] Y) {{{GRU_NODE}}}, "
            "else_branch = e () => (double[a, b, c, d] Z) {Z = Identity (V)}>",
            GRU_NODE,
            inputs=f"{X}, bool yes, double[a, b, c, d] V",
        ),
        "GRU node 'Y' is inside a branch or a loop: export it outside of any",
    ),
    "clip": (lambda: node_model(clip=1.0), "GRU node 'Y' has clip=1.0"),
    "activations": (
        lambda: node_model(activations=["HardSigmoid", "Tanh"]),
        r"GRU node 'Y' has activations=\['hardsigmoid', 'tanh'\]: only sigmoid and tanh",
    ),
    "W": (lambda: other_tensor("W", (1, 16, 3)), r"W of GRU node 'Y' has shape \(1, 16, 3\): expected \(1, 12, 3\)"),
    "R": (lambda: other_tensor("R", (1, 12, 5)), "GRU node 'Y' has hidden_size=4, but its R is for 5: mend one"),
    "R alone": (lambda: written_model("Y = GRU (X, W, R, B)", R=np.zeros((1, 12, 5))), r"W .* expected \(1, 15, 3\)"),
    "flat R": (lambda: other_tensor("R", (12, 4)), r"R has shape \(12, 4\): expected 3 dimensions"),
    "B": (lambda: other_tensor("B", (1, 12)), r"B of GRU node 'Y' has shape \(1, 12\): expected \(1, 24\)"),
    "dtype": (lambda: other_tensor("B", (1, 24), "float32"), "B of GRU node 'Y' is float32: expected float64"),
    "half": (lambda: node_model(dtype="float16"), "R is float16: expected float32 or float64"),
    "directions": (lambda: node_model(direction="bidirectional"), r"W .* \(1, 12, 3\): expected \(2, 12, 3\)"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_a_wrong_model_is_refused(case):
    make, message = BAD_MODELS[case]
    with pytest.raises(ValueError, match=message):
        weights.from_onnx(make())


GIVEN_FOR_ONNX = {
    "depth": (lambda: new_stack(2), "layers has 2 layers, the model 1 GRU nodes"),
    "direction": (lambda: new_stack(1, "reverse"), "direction 'reverse': GRU node 'Y' expects 'forward'"),
    "reset": (lambda: new_stack(reset_after=False), "reset gate 'before': GRU node 'Y' expects 'after'"),
    "no bias": (lambda: new_stack(use_bias=False), "GRU node 'Y' has the unexpected B: expected W, R"),
    "units": (lambda: new_stack(units=5), r"W of GRU node 'Y' has shape \(1, 12, 3\): expected \(1, 15, 3\)"),
    "dtype": (lambda: new_stack(dtype="float32"), "W of GRU node 'Y' is float64: expected float32"),
    "activation": (lambda: new_stack(activation="relu"), "activation='relu'"),
}


@pytest.mark.parametrize("case", GIVEN_FOR_ONNX)
def test_layers_that_do_not_fit_a_node_are_refused(case):
    make, message = GIVEN_FOR_ONNX[case]
    with pytest.raises(ValueError, match=message):
        weights.from_onnx(node_model(linear_before_reset=1), make())


def test_the_packages_are_needed_only_by_what_uses_them(monkeypatch):
    for package in ("onnx", "safetensors", "torch"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    for name in ("", ".onnx", ".onnx_reader", ".stack", ".torch"):
        monkeypatch.delitem(sys.modules, f"gru_tf.weights{name}")
    monkeypatch.setattr(gru_tf, "weights", weights)  # which the import replaces
    fresh = importlib.import_module("gru_tf.weights")
    layers = fresh.from_torch(state_dict_of(ONE))
    assert_identical(fresh.to_torch(layers), state_dict_of(ONE))
    with pytest.raises(ImportError, match="needs the package onnx, .*: pip install onnx"):
        fresh.to_onnx(layers)
    with pytest.raises(ImportError, match="needs the package onnx, .*: pip install onnx"):
        fresh.from_onnx("model.onnx")
    with pytest.raises(ImportError, match="needs the package safetensors, .*: pip install safetensors"):
        fresh.from_torch("model.safetensors")


# Deliberate errors: a check that lets one pass proves nothing.


def unchanged_gates(weight):
    return weight


def swapped_biases(right):
    def wrong(weight_ih, weight_hh, *biases):
        return right(weight_ih, weight_hh, *biases[::-1])

    return wrong


def transposed_recurrent_blocks(right):
    def wrong(weight_ih, weight_hh, *biases):
        blocks = [block.T for block in np.split(weight_hh, 3)]
        return right(weight_ih, np.concatenate(blocks), *biases)

    return wrong


def other_direction(right):
    def wrong(cell, suffix):
        return right(cell, suffix.removesuffix("_reverse") if "reverse" in suffix else suffix + "_reverse")

    return wrong


TORCH_MUTANTS = {
    "r and z not swapped": ("torch._swap_gates", lambda right: unchanged_gates, {}),
    "biases swapped": ("torch._from_arrays", swapped_biases, {}),
    "recurrent blocks transposed": ("torch._from_arrays", transposed_recurrent_blocks, {}),
    "directions swapped": ("stack.Direction", other_direction, {}),
    "update gate not negated": (
        "stack.Direction._with_polarity",
        lambda right: lambda direction, weights: weights,
        {"update_gate": "write"},
    ),
}


@pytest.mark.parametrize("mutant", TORCH_MUTANTS)
def test_wrong_weights_from_pytorch_are_caught(mutant, monkeypatch):
    name, mutate, options = TORCH_MUTANTS[mutant]
    check_golden(LARGEST, stack_for(LARGEST, **options))
    monkeypatch.setattr(f"gru_tf.weights.{name}", mutate(attrgetter(name)(weights)))
    with pytest.raises(AssertionError, match="exceeds"):
        check_golden(LARGEST, stack_for(LARGEST, **options))


def in_nodes(old, new):
    """Write other nodes."""
    return lambda right: lambda *args: [node.replace(old, new) for node in right(*args)]


def in_arrays(name, change):
    """Write another array."""
    return lambda right: lambda level: {**right(level), name: change(right(level)[name])}


def first_two_gates_swapped(array):
    first, second, candidate = np.split(array, 3, axis=1)
    return np.concatenate([second, first, candidate], axis=1)


BIDIRECTIONAL = {"depth": 2, "direction": "bidirectional"}
ONNX_MUTANTS = {
    "gates of W swapped": ("onnx._arrays", in_arrays("W", first_two_gates_swapped), BIDIRECTIONAL),
    "gates of R swapped": ("onnx._arrays", in_arrays("R", first_two_gates_swapped), BIDIRECTIONAL),
    "biases swapped": ("onnx._arrays", in_arrays("B", lambda B: np.roll(B, 12, axis=1)), BIDIRECTIONAL),
    "directions swapped": ("onnx._arrays", in_arrays("W", lambda W: W[::-1]), BIDIRECTIONAL),
    "reset before for after": ("onnx._nodes", in_nodes("reset = 1", "reset = 0"), {}),
    "reset after for before": ("onnx._nodes", in_nodes("reset = 0", "reset = 1"), {"reset_after": False}),
    "direction ignored": ("onnx._nodes", in_nodes('"reverse"', '"forward"'), {"direction": "reverse"}),
    "order of the input": ("onnx._nodes", in_nodes("(as_computed_l0)", "(steps_l0)"), {"direction": "reverse"}),
    "update gate not negated": (
        "stack.Direction._with_polarity",
        lambda right: lambda direction, weights: weights,
        {"update_gate": "write"},
    ),
}


@pytest.mark.parametrize("mutant", ONNX_MUTANTS)
def test_a_wrong_model_is_caught(mutant, monkeypatch):
    name, mutate, options = ONNX_MUTANTS[mutant]
    check_onnx(options)
    monkeypatch.setattr(f"gru_tf.weights.{name}", mutate(attrgetter(name)(weights)))
    with pytest.raises(AssertionError, match="exceeds"):
        check_onnx(options)


def test_lengths_that_are_ignored_are_caught():
    row = {"depth": 1, "direction": "bidirectional", "last_sequence": True, "dtype": "float64"}
    check_lengths(row, with_lengths)
    with pytest.raises(AssertionError, match="exceeds"):
        check_lengths(row, evaluate)  # ONNX's own evaluator takes every step, whatever the lengths
