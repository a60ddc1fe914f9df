"""Numbers with a closed form, computed again without the chapters' code."""

import math
from fractions import Fraction

import keras
import mini_book
import numpy as np
import pytest
import real_book

from gru_tf import GRU, weights
from repro.chapters import Book
from repro.executed import executed_chapters
from repro.ledger import recorded

SIZES = [(1, 1), (2, 1), (1, 2), (3, 5), (64, 128), (300, 7)]  # I, H
LAYERS = {
    "keras GRU": lambda units, **options: keras.layers.GRU(units, **options),
    "gru_tf GRU": lambda units, **options: GRU(units, **options),
    "keras LSTM": lambda units, **options: keras.layers.LSTM(units, **options),
}


def count(layer, inputs):
    """The numbers in a built layer's weights, added up one array after the other."""
    layer.build((None, None, inputs))
    added_up = sum(int(np.prod(weight.shape)) for weight in layer.weights)
    assert layer.count_params() == added_up
    return added_up


@pytest.mark.parametrize(
    ("name", "options", "closed_form"),
    [
        # Written out for each layout, so that a wrong common formula cannot hide: input, state, bias.
        ("keras GRU", {}, lambda i, h: 3 * i * h + 3 * h**2 + 6 * h),
        ("keras GRU", {"reset_after": False}, lambda i, h: 3 * i * h + 3 * h**2 + 3 * h),
        ("keras GRU", {"use_bias": False}, lambda i, h: 3 * i * h + 3 * h**2),
        ("gru_tf GRU", {}, lambda i, h: 3 * i * h + 3 * h**2 + 6 * h),
        ("gru_tf GRU", {"reset_after": False}, lambda i, h: 3 * i * h + 3 * h**2 + 3 * h),
        ("gru_tf GRU", {"use_bias": False}, lambda i, h: 3 * i * h + 3 * h**2),
        ("gru_tf GRU", {"use_bias": False, "reset_after": False}, lambda i, h: 3 * i * h + 3 * h**2),
        ("keras LSTM", {}, lambda i, h: 4 * i * h + 4 * h**2 + 4 * h),
        ("keras LSTM", {"use_bias": False}, lambda i, h: 4 * i * h + 4 * h**2),
    ],
)
def test_parameters_of_a_layer(name, options, closed_form):
    for inputs, units in SIZES:
        assert count(LAYERS[name](units, **options), inputs) == closed_form(inputs, units)


@pytest.mark.parametrize(("options", "biases"), [({}, 2), ({"use_bias": False}, 0)])
def test_parameters_of_the_layout_of_pytorch(options, biases):
    for inputs, units in SIZES:
        layer = GRU(units, **options)
        layer.build((None, None, inputs))
        arrays = weights.to_torch(layer).values()
        assert sum(array.size for array in arrays) == 3 * units * (inputs + units + biases)


def test_gru_has_three_quarters_of_the_lstm_in_one_layout_and_no_more_in_any_default():
    for inputs, units in SIZES:
        without = [count(LAYERS[name](units, use_bias=False), inputs) for name in ("keras GRU", "keras LSTM")]
        assert 4 * without[0] == 3 * without[1]
        gru, lstm = (count(LAYERS[name](units), inputs) for name in ("keras GRU", "keras LSTM"))
        assert gru == lstm if inputs + units == 2 else gru < lstm


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    real_book.executed(tmp_path_factory)
    found = recorded(executed_chapters(Book(mini_book.ROOT, real_book.PROFILE)))
    return {name: evidence.value for name, evidence in found.items()}


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestWhatTheChaptersRecorded:
    def test_the_error_on_products_is_measured_against_one_thirty_sixth(self, values):
        # x_t x_{t+1} with x uniform on [0, 1], x_t known: E[Var] = E[x_t²] Var[x] = 1/3 · 1/12, of 1/9 - 1/16 in all.
        bayes = Fraction(1, 3) * Fraction(1, 12)
        variance = Fraction(1, 9) - Fraction(1, 16)
        assert bayes == Fraction(1, 36)
        explained = 1 - values["forecast_bayes_ratio"] * float(bayes / variance)
        assert values["forecast_explained_variance"] == pytest.approx(explained, abs=1e-12)

    def test_ten_equally_likely_digits_cost_ln_10(self, values):
        assert values["lottery_loss_limit"] == pytest.approx(-sum(0.1 * math.log(0.1) for _ in range(10)), abs=1e-12)

    def test_the_language_model_of_article_003_has_so_many_parameters(self, values):
        blocks = 3  # reset gate, update gate, candidate; two biases each, as in PyTorch
        layers = [blocks * 512 * (inputs + 512 + 2) for inputs in (300, 512)]
        untied = 10_000 * 300 + sum(layers) + 10_000 * 512 + 10_000
        assert values["lm_module_untied_counted"] == values["lm_module_untied_formula"] == untied

    def test_a_gru_has_three_quarters_of_the_weights_of_an_lstm(self, values):
        assert values["lstm_params_ratio_no_bias_least"] == values["lstm_params_ratio_no_bias_most"] == 3 / 4
        assert values["lstm_params_error"] == 0
