"""How sure a mean over seeds is, and what is said of it."""

import numpy as np
import pytest
from scipy import stats

from repro import gap, outcome, t_interval


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_it_is_the_interval_of_the_one_sample_t_test(level):
    values = np.random.default_rng(0).normal(size=5)
    mean, interval = t_interval(values, level)
    assert mean == pytest.approx(values.mean())
    assert interval == pytest.approx(stats.ttest_1samp(values, 0).confidence_interval(level))


def test_it_holds_the_true_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(size=(2000, 4))
    held = [low < 0 < high for _, (low, high) in map(t_interval, draws)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)


def test_equal_values_leave_no_doubt():
    assert t_interval([2, 2, 2]) == (2, (2, 2))


@pytest.mark.parametrize("values", [[], [1.0], np.ones((3, 2))])
def test_what_is_no_row_of_several_values_is_an_error(values):
    with pytest.raises(ValueError, match="at least two"):
        t_interval(values)


def test_of_logarithms_it_is_the_geometric_mean():
    mean, (low, high) = t_interval([1, 10, 100], log=True)
    assert mean == pytest.approx(10)
    assert low * high == pytest.approx(mean**2)
    assert np.log([mean, low, high]) == pytest.approx(
        [*t_interval(np.log([1, 10, 100]))[:1], *t_interval(np.log([1, 10, 100]))[1]]
    )


def test_what_has_no_logarithm_is_an_error():
    with pytest.raises(ValueError, match="values has -1.0, which has no logarithm"):
        t_interval([1.0, -1.0], log=True)


@pytest.mark.parametrize(
    ("interval", "at", "word"),
    [
        ((0.1, 2), 0, "above"),
        ((-2, -0.1), 0, "below"),
        ((-1, 1), 0, "neither"),
        ((0.1, 2), 1, "neither"),
        ((0, 1), 0, "neither"),
    ],
)
def test_an_outcome_says_on_which_side_the_interval_lies(interval, at, word):
    assert outcome(interval, "above", "below", "neither", at) == word


def test_a_gap_is_the_largest_difference_and_never_broadcast():
    assert gap([1, 2, 3], [1, 5, 2]) == 3
    assert np.isnan(gap([np.nan], [0]))
    with pytest.raises(ValueError, match=r"a has shape \(2, 1\) and b \(2,\)"):
        gap(np.zeros((2, 1)), np.zeros(2))
