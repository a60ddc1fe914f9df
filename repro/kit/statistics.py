"""How sure a mean over seeds is, and what may be said of it."""


def t_interval(values, level=0.95, log=False):
    """Return the mean of independent values and its interval by Student's t.

    The interval is mean ± t · s / √n, with s the standard deviation of the n values and t the quantile of Student's
    distribution with n - 1 degrees of freedom that leaves (1 - `level`) / 2 above it.

    Args:
        values: a row of finite numbers, one for each seed.
        level: the share of such intervals that hold the true mean.
        log: take mean and interval of the logarithms, and give them through exp: for ratios and for errors.

    Returns:
        `mean, (low, high)`, as `repro.record` takes them.

    Raises:
        ValueError: fewer than two values, which have no spread; with `log`, a value that is not above 0.
    """
    import numpy as np  # slow to import, and the command line needs no statistics
    from scipy import stats

    values = np.asarray(values, "float64")
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values has shape {values.shape}: pass a row of at least two, one for each seed.")
    if log and not (values > 0).all():
        raise ValueError(f"values has {values.min()}, which has no logarithm: leave out log=True.")
    values = np.log(values) if log else values
    mean, half = values.mean(), stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    found = np.array([mean, mean - half, mean + half])
    mean, low, high = (np.exp(found) if log else found).tolist()
    return mean, (low, high)


def outcome(interval, above, below, neither, at=0):
    """Return the words for where an interval lies: `above` or `below` the number `at`, or `neither`."""
    low, high = interval
    return above if low > at else below if high < at else neither


def gap(a, b):
    """Return the largest absolute difference between two arrays of one shape.

    Raises:
        ValueError: the shapes differ; broadcasting would compare what does not belong together.
    """
    import numpy as np

    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}: pass two arrays of one shape.")
    return float(np.max(np.abs(a - b)))
