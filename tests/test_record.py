"""`repro.record`: what can be recorded, and as what."""

import fractions
import math

import numpy as np
import pytest

from repro import record, record_mean, t_interval
from repro.kit.record import KIND


@pytest.fixture
def glued(monkeypatch):
    """What `myst_nb.glue` was given: name to (plain text, metadata)."""
    glued = {}

    def glue(name, shown, display):
        assert not display, "a record must not show up in the page"
        data, metadata = shown._repr_mimebundle_()
        glued[name] = data["text/plain"], metadata[KIND]

    monkeypatch.setattr("myst_nb.glue", glue)
    return glued


@pytest.mark.parametrize(
    ("value", "kept", "text"),
    [
        (3, 3, "3"),
        (0.1, 0.1, "0.1"),
        (True, True, "True"),
        ("portable", "portable", "portable"),
        (np.float32(0.5), 0.5, "0.5"),
        (np.int64(7), 7, "7"),
        (np.bool_(False), False, "False"),
        (np.array(2.0), 2.0, "2.0"),
        (np.str_("cuDNN"), "cuDNN", "cuDNN"),
        (fractions.Fraction(1, 4), 0.25, "0.25"),
    ],
)
def test_the_value_is_kept_as_a_python_scalar(glued, value, kept, text):
    record("topic_value", value, unit="s")
    shown, metadata = glued["topic_value"]
    assert shown == text
    assert metadata == {"name": "topic_value", "value": kept, "unit": "s"}
    assert type(metadata["value"]) is type(kept)


def test_an_interval_becomes_two_more_values(glued):
    record("score", 0.5, unit="%", interval=(np.float64(0.4), 0.7), level=0.99)
    assert [metadata for _, metadata in glued.values()] == [
        {"name": "score_low", "value": 0.4, "unit": "%", "bounds": "score"},
        {"name": "score_high", "value": 0.7, "unit": "%", "bounds": "score"},
        {"name": "score", "value": 0.5, "unit": "%", "interval": [0.4, 0.7], "level": 0.99},
    ]


@pytest.mark.parametrize("log", [False, True])
def test_a_mean_is_recorded_with_its_interval_and_its_samples(glued, log):
    row = np.array([1, 2, 4], "float32")
    mean, interval = record_mean("score", row, unit="s", level=0.9, log=log)
    assert (mean, interval) == t_interval([1, 2, 4], 0.9, log)
    assert mean == pytest.approx(2 if log else 7 / 3)
    assert glued["score"][1] == {
        "name": "score",
        "value": mean,
        "unit": "s",
        "interval": list(interval),
        "level": 0.9,
        "samples": [1.0, 2.0, 4.0],
        "log": log,
    }
    assert [glued[f"score_{end}"][1]["value"] for end in ("low", "high")] == list(interval)


@pytest.mark.parametrize(
    ("values", "log", "message"),
    [
        ([1.0], False, "at least two"),
        ([1.0, math.nan], False, r"'score, values\[1\]' is not finite"),
        ([1.0, 0.0], True, "which has no logarithm: leave out log=True"),
    ],
)
def test_samples_that_have_no_mean_are_an_error(glued, values, log, message):
    with pytest.raises(ValueError, match=message):
        record_mean("score", values, log=log)
    assert not glued


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_what_is_not_finite_cannot_be_recorded(glued, value):
    with pytest.raises(ValueError, match="'score' is not finite"):
        record("score", value)
    with pytest.raises(ValueError, match="'score' is not finite"):
        record("score", 0.0, interval=(0.0, value))


@pytest.mark.parametrize("value", [None, [1.0], np.zeros(2), 1j, {"a": 1}])
def test_only_scalars_can_be_recorded(glued, value):
    with pytest.raises(TypeError, match="'score' is a .*record a number, a bool or a string"):
        record("score", value)
    assert not glued


@pytest.mark.parametrize("name", ["Score", "1st", "a-b", "", "a b", "_a", "naïve"])
def test_the_name_must_be_a_lower_case_identifier(glued, name):
    with pytest.raises(ValueError, match="lower-case identifier"):
        record(name, 1)


def test_a_reversed_interval_is_an_error(glued):
    with pytest.raises(ValueError, match="'score' is reversed"):
        record("score", 1.0, interval=(2.0, 1.0))
