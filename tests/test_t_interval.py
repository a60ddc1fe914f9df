"""`repro.t_interval`: the mean over the seeds and how sure it is."""

import numpy as np
import pytest
from scipy import stats

from repro import t_interval


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
