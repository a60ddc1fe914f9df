"""Store a chapter's results in its executed notebook, where the prose and the ledger read them."""

import math
import numbers
import re

import myst_nb

KIND = "gru-book-record"  # marks the output in the notebook


class Recorded:
    """A named result. Its plain text is what `{glue:text}` pastes, its metadata is what the ledger reads."""

    def __init__(self, name, value, unit):
        self.text = value if isinstance(value, str) else repr(value)
        self.metadata = {"name": name, "value": value, "unit": unit}

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": self.text}, {KIND: self.metadata}


def record(name, value, unit=None, interval=None):
    """Record `value` under `name` in the executed notebook.

    Args:
        name: a lower-case identifier, unique over the book; `claims.yml` and `{glue:text}` refer to it.
        value: a finite int or float, a bool or a string; NumPy scalars are converted.
        unit: what the value is measured in, for the ledger page.
        interval: `(low, high)` around the value; recorded as `<name>_low` and `<name>_high`.

    Raises:
        ValueError: the name is no lower-case identifier, a number is not finite or `low > high`.
        TypeError: the value is none of the types above.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"name={name!r} must be a lower-case identifier such as 'forecast_skill'")
    myst_nb.glue(name, Recorded(name, _plain(name, value), unit), display=False)
    if interval is not None:
        low, high = (_plain(name, bound) for bound in interval)
        if low > high:
            raise ValueError(f"interval={interval} of {name!r} is reversed; pass (low, high)")
        record(f"{name}_low", low, unit)
        record(f"{name}_high", high, unit)


def _plain(name, value):
    value = value.item() if getattr(value, "ndim", None) == 0 else value
    if isinstance(value, (str, bool)):
        return value
    if not isinstance(value, numbers.Real):
        raise TypeError(f"value={value!r} of {name!r} is a {type(value).__name__}; record a number, a bool or a string")
    if not math.isfinite(value):
        raise ValueError(f"value={value} of {name!r} is not finite, so no claim can be judged by it")
    return int(value) if isinstance(value, numbers.Integral) else float(value)
