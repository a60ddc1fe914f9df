"""Compare two executions of the book: number by number and verdict by verdict."""

import math
from dataclasses import dataclass

from repro.ledger import NOT_JUDGED, outcome

# Of numbers for which no claim says more: a sum of the same float64 numbers in another order.
RELATIVE, ABSOLUTE = 1e-6, 1e-12
LEVEL = 0.95  # of the interval in which another run's mean is expected


@dataclass(frozen=True)
class Comparison:
    """What became of each number and of each verdict of a reference in another run.

    Attributes:
        same_seed: whether both ran from one seed.
        numbers: a list of dicts: `name`, `kind` (`exact`, `samples`, or `interval` for one of another kind), `status`,
            the two values `reference` and `found`, and `expected`, the interval in which the value was expected.
        verdicts: a list of dicts: `id`, `reference`, `found`, `outcome`.
    """

    same_seed: bool
    numbers: list
    verdicts: list

    def outside(self, kind="samples"):
        """Of the numbers of a kind, how many lie outside what was expected, and how many there are."""
        of_kind = [number["status"] == "outside" for number in self.numbers if number["kind"] == kind]
        return sum(of_kind), len(of_kind)

    def count(self):
        """How many numbers have which status."""
        statuses = [number["status"] for number in self.numbers]
        return {status: statuses.count(status) for status in dict.fromkeys(statuses)}

    @property
    def contradicted(self):
        return [row for row in self.verdicts if row["outcome"] in ("contradicts", NOT_JUDGED)]


def compare(reference, found, claims):
    """Compare a `Result` with a reference.

    A number without an interval is `identical`, `equal to tolerance` or `differs`; from another seed it may well
    differ, where it is drawn. One with samples or another interval is `identical`, `as expected` or `outside` the
    interval in which a second run is expected: that of a difference, so wider than its own. `missing` is what one of
    the two lacks.

    Args:
        reference, found: two `Result`s.
        claims: the judged claims, whose `tolerance` serves their evidence.
    """
    tolerance = {
        item["name"]: claim["tolerance"] for claim in claims if "tolerance" in claim for item in claim["evidence"]
    }
    names = [*reference.numbers, *(name for name in found.numbers if name not in reference.numbers)]
    numbers = [_number(name, reference, found, tolerance.get(name, {})) for name in names]
    ids = [*reference.verdicts, *(claim for claim in found.verdicts if claim not in reference.verdicts)]
    verdicts = [_verdict(claim, reference.verdicts.get(claim), found.verdicts.get(claim)) for claim in ids]
    return Comparison(reference.run["seed"] == found.run["seed"], numbers, verdicts)


def _verdict(claim, reference, found):
    missing = reference is None or found is None
    return {
        "id": claim,
        "reference": reference,
        "found": found,
        "outcome": "missing" if missing else outcome(reference, found),
    }


def _number(name, reference, found, tolerance):
    a, b = reference.numbers.get(name), found.numbers.get(name)
    row = {
        "name": name,
        "kind": _kind(a or b),
        "reference": a and a.value,
        "found": b and b.value,
        "expected": None,
    }
    if a is None or b is None or _kind(a) != _kind(b):
        return row | {"status": "missing"}
    if (a.value, a.samples) == (b.value, b.samples):
        return row | {"status": "identical"}
    if row["kind"] == "exact":
        return row | {"status": "equal to tolerance" if _close(a.value, b.value, tolerance) else "differs"}
    row["expected"] = expected(a, b)
    low, high = row["expected"]
    return row | {"status": "as expected" if low <= b.value <= high else "outside"}


def _kind(number):
    return "samples" if number.samples else "interval" if number.interval else "exact"


def _close(a, b, tolerance):
    if isinstance(a, str) or isinstance(b, str) or isinstance(a, bool) or isinstance(b, bool):
        return False
    relative, absolute = tolerance.get("relative", RELATIVE), tolerance.get("absolute", ABSOLUTE)
    return math.isclose(a, b, rel_tol=relative, abs_tol=absolute)


def expected(a, b):
    """The interval in which the value of `b` is expected, given `a`: for two means, Student's with pooled variance."""
    from scipy import stats  # slow to import

    if not a.samples:
        errors = [(n.interval[1] - n.interval[0]) / 2 / stats.norm.ppf((1 + n.level) / 2) for n in (a, b)]
        half = stats.norm.ppf((1 + LEVEL) / 2) * math.hypot(*errors)
        return a.value - half, a.value + half
    import numpy as np

    rows = [np.log(n.samples) if n.log else np.array(n.samples) for n in (a, b)]
    degrees = sum(map(len, rows)) - 2
    pooled = sum(((row - row.mean()) ** 2).sum() for row in rows) / degrees
    half = stats.t.ppf((1 + LEVEL) / 2, degrees) * math.sqrt(pooled * sum(1 / len(row) for row in rows))
    half += 1e-9 * abs(rows[0]).max()  # rounding, where all values are equal
    low, high = rows[0].mean() - half, rows[0].mean() + half
    return (math.exp(low), math.exp(high)) if a.log else (float(low), float(high))
