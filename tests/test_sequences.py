"""What comes in: shapes that do not fit, padding, lists, ragged sequences; on every runtime and for `MinGRU`."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from parity import MODES, SAME, assert_close, assert_same, problem

from gru_tf import GRU, MinGRU
from gru_tf.runtimes import EVERYWHERE

LAYERS = {name: functools.partial(GRU, runtime=name) for name in EVERYWHERE} | {"MinGRU": MinGRU}
each_layer = pytest.mark.parametrize("name", LAYERS)
BUILT_FOR = 2, 3  # I and H of `problem`


def layer_named(name, **options):
    """A built layer with random weights, the same for each runtime."""
    layer = LAYERS[name](BUILT_FOR[1], **options)
    layer.build((4 if options.get("stateful") else None, None, BUILT_FOR[0]))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    return layer


# ---- Shapes: nothing is broadcast along the batch or the steps (keras-team/keras 21183) ----------

MISFITS = {  # the shapes of sequences, initial_state and mask, and which of them the error names
    "fewer states": ((4, 5, 2), (3, 3), (4, 5), "initial_state"),
    "one state": ((4, 5, 2), (1, 3), (4, 5), "initial_state"),
    "states for one sequence": ((1, 5, 2), (4, 3), (1, 5), "initial_state"),
    "a mask of one row": ((4, 5, 2), (4, 3), (1, 5), "mask"),
    "a mask of one step": ((4, 5, 2), (4, 3), (4, 1), "mask"),
    "a mask turned around": ((4, 5, 2), (4, 3), (5, 4), "mask"),
    "masks for one sequence": ((1, 5, 2), (1, 3), (4, 5), "mask"),
    "masks for one step": ((4, 1, 2), (4, 3), (4, 5), "mask"),
    "no steps": ((4, 0, 2), (4, 3), (4, 0), "sequences"),
}
UNKNOWN = [(None, None, 2), (None, None), (None, None)]


def call_of_unknown_shapes(name, mode, shapes=UNKNOWN):
    layer = layer_named(name)
    signature = [
        tf.TensorSpec(shape, dtype) for shape, dtype in zip(shapes, ("float32", "float32", "bool"), strict=True)
    ]
    call = tf.function(
        lambda x, state, mask: layer(x, initial_state=state, mask=mask),
        input_signature=signature,
        jit_compile=mode == "jit",
    )
    return lambda *shapes: call(*(tf.ones(shape, spec.dtype) for shape, spec in zip(shapes, signature, strict=True)))


@pytest.mark.parametrize("mode", ["graph", "jit"])
@each_layer
def test_shapes_that_do_not_fit_are_refused_where_they_show_only_when_a_graph_runs(name, mode):
    call = call_of_unknown_shapes(name, mode)
    for *shapes, culprit in MISFITS.values():
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"{culprit}_(does_not_fit_sequences|has_T_0)"):
            call(*shapes)
    assert call((4, 5, 2), (4, 3), (4, 5)).shape == (4, 3)


@pytest.mark.parametrize("mode", MODES)
@each_layer
def test_shapes_that_do_not_fit_are_refused_where_they_are_known(mode, name):
    layer = layer_named(name)
    for x, state, mask, culprit in MISFITS.values():
        call = MODES[mode](lambda x=x, s=state, m=mask: layer(tf.ones(x), initial_state=tf.ones(s), mask=tf.ones(m)))
        with pytest.raises(ValueError, match=f"{culprit} has (shape|T = 0)"):
            call()


@pytest.mark.parametrize("mode", ["graph", "jit"])
@each_layer
def test_a_rank_that_only_the_run_knows(name, mode):
    call = call_of_unknown_shapes(name, mode, [(None, None, 2), None, None])
    assert call((4, 5, 2), (4, 3), (4, 5)).shape == (4, 3)
    for state, mask in [((4, 2), (4, 5)), ((3,), (4, 5)), ((4, 3), (5,)), ((4, 3), (4, 5, 1))]:
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match="does_not_fit_sequences"):
            call((4, 5, 2), state, mask)


sizes = functools.cache(lambda name: call_of_unknown_shapes(name, "graph"))


@settings(max_examples=30)
@given(
    name=st.sampled_from(list(LAYERS)),
    x=st.tuples(*[st.integers(0, 3)] * 2),
    mask=hnp.array_shapes(max_dims=2, max_side=3),
    batch=st.integers(0, 3),
)
def test_a_call_is_served_exactly_if_all_shapes_fit(name, x, mask, batch):
    call = sizes(name)
    if len(mask) == 2 and x[1] and mask == x and batch == x[0]:
        assert call((*x, 2), (batch, 3), mask).shape == (x[0], 3)
    elif len(mask) == 2:
        with pytest.raises(tf.errors.InvalidArgumentError, match="does_not_fit_sequences|has_T_0"):
            call((*x, 2), (batch, 3), mask)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EVERYWHERE)
def test_the_kept_state_serves_its_own_batch_size_alone(name, mode):
    layer = layer_named(name, stateful=True)
    signature = None if mode == "eager" else [tf.TensorSpec((None, 5, 2))]
    call = layer if mode == "eager" else tf.function(layer, input_signature=signature, jit_compile=mode == "jit")
    call(tf.ones((4, 5, 2)))
    kept = layer.states[0].numpy()
    for batch in (1, 3, 8):
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="the.state.of.the.last.call"):
            call(tf.ones((batch, 5, 2)))
    np.testing.assert_array_equal(layer.states[0], kept)


@each_layer
def test_bidirectional_refuses_states_that_do_not_fit(name):
    x, state = tf.ones((4, 5, 2)), tf.ones((4, 3))
    layer = keras.layers.Bidirectional(layer_named(name))
    assert layer(x, initial_state=[state, state]).shape == (4, 6)
    for states in ([state], [state, state[:1]], state):
        with pytest.raises(ValueError, match="initial_state has shape"):
            layer(x, initial_state=states)


# ---- Padding: what stands there is of no influence (tensorflow 6209, Keras pull request 449) -----


@functools.cache
def everything_of(name, mode):
    """A function of sequences and mask: results, gradients, and the gradients of the squares of these."""
    gates = {} if name == "MinGRU" else {"return_gates": True}
    layer = layer_named(name, return_sequences=True, return_state=True, go_backwards=True, dtype="float64", **gates)
    weights = [weight.value for weight in layer.trainable_weights]

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, 2), "float64"), tf.TensorSpec((None, None), "bool")],
        jit_compile=mode == "jit",
    )
    def everything(x, mask):
        start = tf.ones_like(x[:, 0, :1]) * [[0.5, -1.0, 2.0]]
        inputs = [x, start, *weights]
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                results = keras.tree.flatten(layer(x, initial_state=start, mask=mask))
                total = tf.add_n([tf.reduce_sum(result**2) for result in results])
            first = tape.gradient(total, inputs, unconnected_gradients="zero")
            penalty = tf.add_n([tf.reduce_sum(gradient**2) for gradient in first])
        return results, first, outer.gradient(penalty, inputs, unconnected_gradients="zero")

    return lambda x, mask: {str(i): v.numpy() for i, v in enumerate(keras.tree.flatten(everything(x, mask)))}


@pytest.mark.parametrize("mode", ["graph", pytest.param("jit", marks=pytest.mark.slow)])
@each_layer
def test_values_in_padded_steps_change_nothing(name, mode):
    p, compute = problem(mask="empty row"), everything_of(name, mode)
    expected = compute(np.where(p.mask[..., None], p.sequences, 0), p.mask)
    assert all(np.isfinite(value).all() for value in expected.values())
    odd = np.resize([np.nan, np.inf, -np.inf, 1e300, 7], p.sequences.shape)
    assert_same(compute(np.where(p.mask[..., None], p.sequences, odd), p.mask), expected, 0)


@settings(max_examples=30)
@given(data=st.data())
def test_any_values_under_any_mask_change_nothing(data):
    compute = everything_of(data.draw(st.sampled_from(list(LAYERS))), "graph")
    batch, steps = data.draw(st.integers(1, 3), label="B"), data.draw(st.integers(1, 4), label="T")
    mask = data.draw(hnp.arrays(bool, (batch, steps)), label="mask")
    odd = data.draw(hnp.arrays("float64", (batch, steps, 2)), label="padding")
    x = problem(batch, steps).sequences
    filled, empty = (compute(np.where(mask[..., None], x, padding), mask) for padding in (odd, 0))
    assert_same(filled, empty, 0)


# ---- Lists ---------------------------------------------------------------------------------------


@each_layer
def test_masks_and_states_may_be_lists_of_numbers(name):
    p = problem(mask="right")
    layer = layer_named(name, return_sequences=True, go_backwards=True)
    expected = layer(p.sequences, initial_state=p.initial_state, mask=p.mask)
    states = p.initial_state.tolist(), [p.initial_state.tolist()], [p.initial_state, None], list(p.initial_state[None])
    for state in states:
        output = layer(p.sequences, initial_state=state, mask=p.mask.tolist())
        np.testing.assert_array_equal(output, expected)
        np.testing.assert_array_equal(output._keras_mask, p.mask[:, ::-1])
    np.testing.assert_array_equal(layer(p.sequences, initial_state=[None]), layer(p.sequences))
    with pytest.raises(ValueError, match=r"mask has shape \(1, 5\).* \(4, 5\)"):
        layer(p.sequences, mask=[[True] * 5])


# ---- Ragged sequences (ageron/handson-ml3 157) ---------------------------------------------------


def ragged(values, mask):
    return tf.ragged.boolean_mask(tf.constant(values, "float32"), mask)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("go_backwards", [False, True])
@each_layer
def test_ragged_sequences_equal_masked_ones(name, go_backwards, mode):
    p = problem(mask="empty row")
    gates = {} if name == "MinGRU" else {"return_gates": True}
    layer = layer_named(name, go_backwards=go_backwards, return_sequences=True, return_state=True, **gates)
    signature = [tf.RaggedTensorSpec((None, None, 2), ragged_rank=1)]
    call = layer if mode == "eager" else tf.function(layer, input_signature=signature)
    result, expected = call(ragged(p.sequences, p.mask)), layer(p.sequences, mask=p.mask)
    order = p.mask[:, ::-1] if go_backwards else p.mask
    for ours, dense in zip(*map(keras.tree.flatten, (result, expected)), strict=True):
        wanted = ragged(dense, order) if len(dense.shape) == 3 else dense
        assert isinstance(ours, tf.RaggedTensor) == (len(dense.shape) == 3)
        if isinstance(ours, tf.RaggedTensor):
            np.testing.assert_array_equal(ours.row_lengths(), wanted.row_lengths())
            ours, wanted = ours.flat_values, wanted.flat_values
        assert_close(ours, wanted, SAME["float32"])


@pytest.mark.parametrize("go_backwards", [False, True])
@each_layer
def test_ragged_words_with_padding_among_them(name, go_backwards):
    words = tf.ragged.constant([[3, 0], [1, 2, 0, 3], [2]])
    embed = keras.layers.Embedding(4, 2, mask_zero=True)
    options = {"go_backwards": go_backwards}
    first, second = layer_named(name, return_sequences=True, **options), LAYERS[name](3, **options)
    model = keras.Sequential([embed, first, second])
    rows = [model(tf.constant([[word for word in row if word]])) for row in words.to_list()]
    assert_close(model(words), tf.concat(rows, 0), SAME["float32"])
    assert_close(model.predict(words, verbose=0), tf.concat(rows, 0), SAME["float32"])


@each_layer
def test_ragged_sequences_train_and_xla_is_told_off(name):
    p = problem(mask="right")
    x = ragged(p.sequences, p.mask)
    model = keras.Sequential([keras.Input((None, 2), ragged=True), keras.layers.Bidirectional(LAYERS[name](3))])
    model.compile("sgd", "mse")
    model.fit(x, np.ones((4, 6)), verbose=0, batch_size=3)
    dense = keras.Sequential([keras.Input((None, 2)), keras.layers.Masking(), model.layers[-1]])
    assert_close(model.predict(x, verbose=0), dense.predict(x.to_tensor(), verbose=0), SAME["float32"])
    with pytest.raises(ValueError, match=r"RaggedTensor.* XLA .*sequences\.to_tensor\(\), and mask=tf\.sequence_mask"):
        tf.function(layer_named(name), jit_compile=True)(x)


# ---- Masks on their way (Keras from 3.16 on asks each layer whether it hands a mask on) ----------


@each_layer
def test_stacked_layers_skip_the_padding(name):
    first = layer_named(name, return_sequences=True)
    assert first.supports_masking
    model = keras.Sequential([keras.layers.Embedding(5, 2, mask_zero=True), first, LAYERS[name](3)])
    words = np.array([[1, 2, 0, 0], [1, 2, 3, 4]])
    assert_close(model(words)[:1], model(words[:1, :2]), SAME["float32"])
