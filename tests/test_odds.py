"""The odds of replication: right where the right answer is known, and honest where it can be counted."""

import time

import numpy as np
import pytest
from scipy import stats

from repro import t_interval
from repro.ledger import Evidence
from repro.odds import odds, values_of, verdict

POSITIVE = {"confirmed": "a_low > 0", "refuted": "a_high < 0"}


def sampled(name, row, log=False, chapter="chapter"):
    mean, interval = t_interval(row, log=log)
    return Evidence(name, mean, None, chapter, interval, 0.95, tuple(row), log)


def with_interval(name, value, half):
    return Evidence(name, value, None, "chapter", (value - half, value + half), 0.95)


def standard(n, seed=0):
    """A row of n values with mean 0 and standard deviation 1."""
    row = np.random.default_rng(seed).normal(size=n)
    return (row - row.mean()) / row.std(ddof=1)


@pytest.mark.parametrize("n", [3, 5, 20])
@pytest.mark.parametrize("distance", [0.2, 0.5, 1.0, 2.0])
def test_a_mean_beside_a_threshold_follows_students_distribution(n, distance):
    """Two means differ by s √(2/n) times a number from Student's distribution: few seeds, heavy tails."""
    known = stats.t.cdf(distance / np.sqrt(2 / n), n - 1)
    found = odds({"confirmed": f"a > {-distance}"}, [sampled("a", standard(n))])
    assert found == pytest.approx(known, abs=0.03)


def test_logarithms_are_drawn_where_logarithms_were_recorded():
    row = np.exp(standard(6))
    known = stats.t.cdf(0.4 / np.sqrt(2 / 6), 5)
    assert odds({"confirmed": f"a > {np.exp(-0.4)}"}, [sampled("a", row, log=True)]) == pytest.approx(known, abs=0.03)


def test_values_of_the_same_seed_stay_together():
    """A difference that all seeds share comes out again, however much they differ from each other."""
    a = standard(5)
    b = a + 1 + 0.1 * standard(5, seed=1)
    rows = [sampled("a", a), sampled("b", b)]
    assert odds({"confirmed": "b > a"}, rows) > 0.99
    apart = [rows[0], sampled("b", b, chapter="another chapter")]
    assert odds({"confirmed": "b > a"}, apart) < 0.95
    difference = b - a - 0.9
    known = stats.t.cdf(difference.mean() / (difference.std(ddof=1) * np.sqrt(2 / 5)), 4)
    assert odds({"confirmed": "b - a > 0.9"}, rows) == pytest.approx(known, abs=0.03)


def test_other_numbers_of_a_chapter_change_nothing():
    row, others = standard(4), [sampled(f"b{i}", standard(4, seed=i + 1)) for i in range(9)]
    check = {"confirmed": "a > -0.5"}
    assert odds(check, [sampled("a", row), *others]) == pytest.approx(odds(check, [sampled("a", row)]), abs=0.03)


def test_an_interval_of_another_kind_moves_as_it_says():
    known = stats.norm.cdf(0.5 * 1.96 / np.sqrt(2))
    assert odds({"confirmed": "a > -0.5"}, [with_interval("a", 0.0, 1.0)]) == pytest.approx(known, abs=0.03)


def test_what_is_exact_stays_as_it_is():
    exact = Evidence("limit", 0.5, None, "chapter")
    assert odds({"confirmed": "limit == 0.5"}, [exact]) == 1
    assert odds({"confirmed": "limit == 0.5 and a == 3"}, [exact, sampled("a", [3.0] * 5)]) == 1
    assert odds({"confirmed": "device == 'cpu'"}, [Evidence("device", "cpu", None, "chapter")]) == 1


def test_a_draw_in_which_two_verdicts_hold_is_not_the_same_verdict():
    check = {"confirmed": "a > -1", "refuted": "a < -0.2"}
    row = sampled("a", standard(5))
    known = stats.t.cdf(0.2 / np.sqrt(2 / 5), 4)
    assert odds(check, [row]) == pytest.approx(known, abs=0.03)


@pytest.mark.parametrize("n", [3, 5, 12])
def test_over_many_claims_they_are_the_share_that_comes_out_again(n):
    """Synthetic claims whose true effects lie anywhere around the threshold, each measured twice."""
    rng, predicted, seen = np.random.default_rng(n), [], []
    reach = 4 * stats.t.ppf(0.975, n - 1) / np.sqrt(n)  # of the effects: four half-widths on either side
    for effect in rng.uniform(-reach, reach, 400):
        first, second = ([sampled("a", row)] for row in rng.normal(effect, 1, (2, n)))
        predicted.append(odds(POSITIVE, first, draws=100))
        seen.append(verdict(POSITIVE, values_of(first)) == verdict(POSITIVE, values_of(second)))
    predicted, seen = np.array(predicted), np.array(seen)
    assert predicted.mean() == pytest.approx(seen.mean(), abs=0.05)
    doubtful = predicted < 0.8
    assert predicted[doubtful].mean() == pytest.approx(seen[doubtful].mean(), abs=0.1)


def test_they_are_the_same_each_time_and_take_a_moment():
    claim = POSITIVE, [sampled("a", standard(5))]
    start = time.process_time()
    assert odds(*claim) == odds(*claim)
    assert time.process_time() - start < 2
