"""Store a chapter's results in its executed notebook, where the prose and the ledger read them."""

import math
import numbers
import re
from typing import NamedTuple

import myst_nb

from repro.kit.statistics import t_interval

KIND = "gru-book-record"  # marks the output in the notebook


class Mean(NamedTuple):
    """A mean and its interval, which a cell that ends with them does not show."""

    value: float
    interval: tuple[float, float]

    def _ipython_display_(self):
        pass


class Recorded:
    """A named result. Its plain text is what `{glue:text}` pastes, its metadata is what the ledger reads."""

    def __init__(self, name, value, unit=None, **more):
        self.text = value if isinstance(value, str) else repr(value)
        self.metadata = {"name": name, "value": value, "unit": unit, **more}

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": self.text}, {KIND: self.metadata}


def record(name, value, unit=None, interval=None, level=0.95):
    """Record `value` under `name` in the executed notebook.

    A mean over seeds is recorded with its samples, by `record_mean`.

    Args:
        name: a lower-case identifier, unique over the book; `claims.yml` and `{glue:text}` refer to it.
        value: a finite int or float, a bool or a string; NumPy scalars are converted.
        unit: what the value is measured in, for the ledger page.
        interval: `(low, high)` around the value; `{glue:text}` and the checks of `claims.yml` know its ends as
            `<name>_low` and `<name>_high`.
        level: the level of that interval.

    Raises:
        ValueError: the name is no lower-case identifier, a number is not finite or `low > high`.
        TypeError: the value is none of the types above.
    """
    _record(name, value, unit, interval, level)


def record_mean(name, values, unit=None, level=0.95, log=False):
    """Record the mean of `values`, its interval by Student's t, and the values themselves.

    From the values the suite computes how likely a claim's verdict is to come out again, and whether another
    machine's runs are as expected. Rows of one chapter that are equally long are taken for paired: the first value of
    each is from the first seed, and so on.

    Args:
        name, unit, level: as in `record`.
        values: a row of at least two finite numbers, one for each seed, in the order of the seeds.
        log: record the geometric mean, with the interval of the logarithms: for ratios and for errors.

    Returns:
        `mean, (low, high)`, as recorded.

    Raises:
        ValueError: as `record` and `t_interval` do; a value is not finite.
    """
    samples = [float(_plain(f"{name}, values[{i}]", value)) for i, value in enumerate(values)]
    mean, interval = t_interval(samples, level, log)
    _record(name, mean, unit, interval, level, samples=samples, log=log)
    return Mean(mean, interval)


def _record(name, value, unit, interval, level, **more):
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"name={name!r} must be a lower-case identifier such as 'forecast_skill'")
    value = _plain(name, value)
    if interval is not None:
        low, high = (_plain(name, bound) for bound in interval)
        if low > high:
            raise ValueError(f"interval={interval} of {name!r} is reversed; pass (low, high)")
        more |= {"interval": [low, high], "level": level}
        _glue(f"{name}_low", low, unit, bounds=name)
        _glue(f"{name}_high", high, unit, bounds=name)
    _glue(name, value, unit, **more)


def _glue(name, value, unit, **more):
    myst_nb.glue(name, Recorded(name, value, unit, **more), display=False)


def _plain(name, value):
    value = value.item() if getattr(value, "ndim", None) == 0 else value
    if isinstance(value, (str, bool)):
        return value
    if not isinstance(value, numbers.Real):
        raise TypeError(f"value={value!r} of {name!r} is a {type(value).__name__}; record a number, a bool or a string")
    if not math.isfinite(value):
        raise ValueError(f"value={value} of {name!r} is not finite, so no claim can be judged by it")
    return int(value) if isinstance(value, numbers.Integral) else float(value)
