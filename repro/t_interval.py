"""How sure a mean over seeds is."""


def t_interval(values, level=0.95):
    """Return the mean of independent values and its interval by Student's t.

    The interval is mean ± t · s / √n, with s the standard deviation of the n values and t the quantile of Student's
    distribution with n - 1 degrees of freedom that leaves (1 - `level`) / 2 above it.

    Returns:
        `mean, (low, high)`, as `repro.record` takes them.

    Raises:
        ValueError: fewer than two values, which have no spread.
    """
    import numpy as np  # slow to import, and the command line needs no statistics
    from scipy import stats

    values = np.asarray(values, "float64")
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values has shape {values.shape}: pass a row of at least two, one for each seed.")
    mean, half = values.mean(), stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    return mean, (mean - half, mean + half)
