"""The ledger's own rules, whatever the chapters measure."""

import ast

import mini_book
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro import register as register_module
from repro.chapters import Book
from repro.check_language import evaluate
from repro.ledger import read_claims

MEASURED = [claim for claim in read_claims(Book(mini_book.ROOT).claims) if "check" in claim]
RUNS = register_module.register(mini_book.ROOT).values()
# Which values are no numbers; a name that no run on record has is taken for one.
KNOWN = {name: number.value for run in RUNS for name, number in run.numbers.items()}


def around(claim):
    """Numbers on, near and far from the thresholds of a claim's check."""
    constants = {0.0, 1.0}
    for expression in claim["check"].values():
        for node in ast.walk(ast.parse(expression, mode="eval")):
            if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
                constants |= {float(node.value), -float(node.value)}
    return sorted({c + step for c in constants for step in (0, 1e-13, -1e-13, 1e-3, -1e-3, 0.3, -0.3, 2, -2)})


@st.composite
def evidence(draw, claim):
    """Values of a claim's evidence, each with its interval around it."""
    values, numbers = {}, st.sampled_from(around(claim))
    for name in claim["evidence"]:
        known = KNOWN.get(name, 0.0)
        if isinstance(known, bool):
            values[name] = draw(st.booleans())
        elif isinstance(known, str):
            values[name] = draw(st.sampled_from([known, "other"]))
        else:
            low, values[name], high = sorted(draw(st.tuples(numbers, numbers, numbers)))
            values |= {f"{name}_low": low, f"{name}_high": high}
    return values


@pytest.mark.parametrize("claim", MEASURED, ids=lambda claim: claim["id"])
def test_the_verdicts_of_a_claim_exclude_each_other(claim):
    @given(evidence(claim))
    def at_most_one_holds(values):
        holding = [verdict for verdict, expression in claim["check"].items() if evaluate(expression, values)]
        assert len(holding) <= 1

    at_most_one_holds()
