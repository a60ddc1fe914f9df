"""Seeds, fresh starts, gradients and times: what the chapters train with."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import repro
from repro.kit import docstrings as docstrings_module


def test_neighbouring_seeds_share_no_run():
    drawn = [repro.seeds(seed, 100) for seed in range(20)]
    assert len(set(itertools.chain(*drawn))) == 2000
    assert all(0 <= run < 2**31 for run in itertools.chain(*drawn))


def test_more_runs_begin_with_the_same():
    assert repro.seeds(3, 10)[:4] == repro.seeds(3, 4)


def test_a_negative_seed_is_an_error():
    with pytest.raises(ValueError, match="seed=-1 is negative"):
        repro.seeds(-1, 2)


@pytest.fixture
def model():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=False)
    return model


X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")


def trained(model):
    model.fit(X, X[:, :1], batch_size=4, epochs=2, verbose=0)
    return [weight.numpy() for weight in model.weights]


def assert_equal(a, b):
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_seed_gives_the_same_training_whatever_ran_before(model):
    """Weights, dropout masks, order of the batches, the optimizer's averages: all start anew."""
    start = repro.FreshStart(model)
    start(5)
    first = trained(model)
    start(6)
    other = trained(model)
    assert not np.array_equal(first[0], other[0])
    start(5)
    assert_equal(trained(model), first)


def test_it_is_the_training_of_a_model_that_was_just_made(model):
    start = repro.FreshStart(model)
    trained(model)
    start(5)
    again = trained(model)
    keras.utils.set_random_seed(5)
    fresh = keras.models.clone_model(model)
    fresh.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=False)
    assert_equal(trained(fresh), again)


def test_the_weights_to_start_from_can_be_given(model):
    weights = [weight.numpy() + 1 for weight in model.weights]
    start = repro.FreshStart(model)
    trained(model)
    start(5, draw=lambda: weights)
    assert_equal(model.get_weights(), weights)
    assert int(model.optimizer.iterations) == 0


def test_an_optimizer_of_ones_own_is_put_back(model):
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    start = repro.FreshStart(model, optimizer)
    before = [variable.numpy() for variable in optimizer.variables]
    optimizer.apply([tf.ones_like(weight) for weight in model.trainable_weights], model.trainable_weights)
    start(0)
    assert_equal([variable.numpy() for variable in optimizer.variables], before)


def test_gradients_are_those_of_the_sum_of_squares():
    layer = keras.layers.Dense(2)
    x = tf.constant(X)
    layer.build(x.shape)
    kernel, bias = repro.gradients(layer)(x)
    np.testing.assert_allclose(kernel, 2 * X.T @ layer(x).numpy(), rtol=1e-5)
    np.testing.assert_allclose(bias, 2 * layer(x).numpy().sum(0), rtol=1e-5)


def test_calls_take_turns_and_the_first_of_each_is_apart():
    order, ticks = [], itertools.count()
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    first, rounds = repro.interleaved(calls, 2, clock=lambda: next(ticks))
    assert order == ["a", "b"] * 3
    assert first == {"a": 1, "b": 1}
    assert rounds.to_dict("list") == {"a": [1, 1], "b": [1, 1]}


DOCSTRING = """Plain text is kept. So is this! But not this

    >>> code

x : int
    An argument. It is left out.

One more sentence.
"""


def test_sentences_are_those_of_plain_paragraphs():
    assert list(repro.sentences(DOCSTRING)) == ["Plain text is kept.", "So is this!", "One more sentence."]


def test_docstrings_come_file_by_file_with_their_place(tmp_path, monkeypatch):
    package = tmp_path / "somebook"
    (package / "tests").mkdir(parents=True)
    (package / "__init__.py").write_text('"""A package."""\n')
    (package / "b.py").write_text('class A:\n    """A class."""\n    def f(self):\n        """A method."""\n')
    (package / "tests" / "c.py").write_text('"""Left out."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert list(repro.docstrings("somebook")) == [
        ("somebook/__init__.py", "somebook/__init__.py", "A package."),
        ("somebook/b.py", "somebook/b.py:A", "A class."),
        ("somebook/b.py", "somebook/b.py:A:f", "A method."),
    ]
    with pytest.raises(ModuleNotFoundError, match="library='nosuch' is not installed"):
        list(docstrings_module.docstrings("nosuch"))
