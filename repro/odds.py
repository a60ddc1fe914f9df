"""How likely it is that an independent replication of the book gives the same verdict.

A claim's evidence is drawn again as a new run of the same size would find it, and judged again; the odds are the share
of the draws in which the verdict is the one that the recorded evidence gives. What a new run differs by is the chance
of both: the recorded mean is not the true one, and the new mean is not either. So with n seeds and the standard
deviation s, the new mean lies around the recorded one by s · √(2/n) times a number from Student's distribution.

What is assumed:

- Values per seed are normal around their true mean (their logarithms, where those were recorded). Values of one chapter
  that are equally many are paired by their place, so that they are drawn together with the correlation they have.
- The true covariance is not known, only estimated from n - 1 degrees of freedom. It is drawn from an inverse Wishart
  distribution in the space of the residuals, whose margin for each value is the scaled inverse chi-square with n - 1
  degrees of freedom: the tails are Student's, and heavy for few seeds.
- A value with an interval of another kind (a bootstrap, a share of hits, rounds of a clock) is normal with the standard
  error that its interval tells, and its interval moves with it.
- A value without an interval is exact, or its spread is not known: it stays as it is. So does a row of equal values.
"""

import functools

from repro import check_language
from repro.check_language import CheckError

DRAWS = 2000
LEAST = 0.95  # a strict build does not publish verdicts with odds below it


def verdict(check, values):
    """The verdict whose expression holds for the recorded values, `inconclusive` when none does.

    Raises:
        CheckError: an expression is wrong, or several hold.
    """
    holding = [verdict for verdict, expression in check.items() if check_language.evaluate(expression, values)]
    if len(holding) > 1:
        raise CheckError(f"the checks for {' and '.join(holding)} both hold; at most one may")
    return holding[0] if holding else "inconclusive"


def values_of(evidence):
    """What a check reads: each value by name, and the ends of its interval as `<name>_low` and `<name>_high`."""
    values = {item.name: item.value for item in evidence}
    for item in evidence:
        if item.interval:
            values[f"{item.name}_low"], values[f"{item.name}_high"] = item.interval
    return values


def odds(check, evidence, draws=DRAWS, seed=0):
    """Return the share of independent replications in which a claim's verdict comes out again, between 0 and 1.

    Args:
        check: an expression for each verdict.
        evidence: the claim's list of `Evidence`.
        draws: how often the evidence is drawn again.
        seed: of the draws.
    """
    if not any(item.interval for item in evidence):
        return 1.0
    before = verdict(check, values_of(evidence))
    columns = _redrawn(evidence, draws, seed)
    again = 0
    for i in range(draws):
        try:
            again += verdict(check, {name: column[i] for name, column in columns.items()}) == before
        except CheckError:  # two verdicts at once: not the same one
            continue
    return again / draws


def _redrawn(evidence, draws, seed):
    """Every value that a check reads, as a list of `draws` of them."""
    import numpy as np  # slow to import

    rng = np.random.default_rng(seed)
    columns = {name: [value] * draws for name, value in values_of(evidence).items()}
    paired = {}
    for item in evidence:
        if item.samples:
            paired.setdefault((item.chapter, len(item.samples)), []).append(item)
        elif item.interval:
            low, high = item.interval
            shift = np.sqrt(2) * (high - low) / 2 / _normal_quantile(item.level) * rng.normal(size=draws)
            columns |= _columns(item.name, item.value + shift, low + shift, high + shift)
    for items in paired.values():
        rows = np.array([np.log(item.samples) if item.log else item.samples for item in items]).T
        means, deviations = _new_runs(rows, draws, rng)
        for item, mean, deviation in zip(items, means.T, deviations.T, strict=True):
            half = _t_quantile(item.level, len(rows) - 1) * deviation / np.sqrt(len(rows))
            found = np.array([mean, mean - half, mean + half])
            columns |= _columns(item.name, *(np.exp(found) if item.log else found))
    return columns


def _new_runs(rows, draws, rng):
    """Means and standard deviations (draws, k) in new runs of the experiment that gave the `rows` (n, k)."""
    import numpy as np

    n, mean = len(rows), rows.mean(axis=0)
    m = n - 1
    _, singular, axes = np.linalg.svd(rows - mean, full_matrices=False)
    d = min(m, rows.shape[1])  # the dimensions of what the residuals span
    residuals = (singular[:, np.newaxis] * axes)[:d]
    # A Wishart matrix with m - 1 + d degrees of freedom in those dimensions: for each single column, and each
    # difference of columns, the variance then is the sum of squares over a chi-square with m degrees of freedom.
    wishart = rng.normal(size=(draws, d, m - 1 + d))
    root = np.linalg.solve(np.linalg.cholesky(wishart @ wishart.transpose(0, 2, 1)), residuals)
    true_mean = mean + (rng.normal(size=(draws, 1, d)) @ root)[:, 0] / np.sqrt(n)
    runs = true_mean[:, np.newaxis] + rng.normal(size=(draws, n, d)) @ root
    return runs.mean(axis=1), runs.std(axis=1, ddof=1)


def _columns(name, value, low, high):
    return {name: value.tolist(), f"{name}_low": low.tolist(), f"{name}_high": high.tolist()}


@functools.cache
def _normal_quantile(level):
    from scipy import stats

    return stats.norm.ppf((1 + level) / 2)


@functools.cache
def _t_quantile(level, degrees):
    from scipy import stats

    return stats.t.ppf((1 + level) / 2, degrees)
