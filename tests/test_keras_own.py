"""Keras's own tests of its GRU, bidirectional and stacked layers, run on the classes of `gru_tf`.

Their layers are taken from the namespace `keras.src.layers` when a test runs; a fixture puts ours there.
"""

import unittest

import keras.src.layers
import pytest

import gru_tf.layer
from gru_tf import GRU, GRUCell
from gru_tf.runtimes import EVERYWHERE, fused

bidirectional_test, gru_test, stacked_rnn_cells_test = (
    pytest.importorskip(f"keras.src.layers.rnn.{name}_test", reason="this version of Keras comes without its tests")
    for name in ("bidirectional", "gru", "stacked_rnn_cells")
)


@pytest.fixture(autouse=True)
def our_classes_in_place_of_those_of_keras(monkeypatch):
    monkeypatch.setattr(keras.src.layers, "GRU", GRU)
    monkeypatch.setattr(keras.src.layers, "GRUCell", GRUCell)


def prefer(runtime, monkeypatch):
    """Let this runtime serve all that it can."""
    monkeypatch.setattr(
        gru_tf.layer,
        "choose",
        lambda cell, call, _: "portable" if fused.missing(cell, call.unroll) else runtime,
    )


class OnOneRuntime:
    runtime = "portable"

    @pytest.fixture(autouse=True)
    def _prefer(self, monkeypatch):
        prefer(self.runtime, monkeypatch)


@pytest.mark.slow
class TestGRU(OnOneRuntime, gru_test.GRUTest):
    pass


class TestGRUOnGraph(TestGRU):
    runtime = "graph"


class TestGRUOnXLA(TestGRU):
    runtime = "xla"


@pytest.mark.slow
class TestBidirectional(OnOneRuntime, bidirectional_test.SimpleRNNTest):
    @unittest.skip("asks whether Keras's Bidirectional would fuse an instance of Keras's own GRU class")
    def test_fused_gru_eligibility(self):
        pass


class TestBidirectionalOnGraph(TestBidirectional):
    runtime = "graph"


class TestBidirectionalOnXLA(TestBidirectional):
    runtime = "xla"


@pytest.mark.slow
class TestStackedRNNCells(stacked_rnn_cells_test.StackedRNNTest):
    pass


# The tests above that run a GRU; the others are about other layers, or only build one.
CHECK_VALUES = [
    (TestGRU, "test_correctness0"),
    (TestGRU, "test_correctness1"),
    (TestGRU, "test_statefulness"),
    (TestGRU, "test_pass_initial_state"),
    (TestGRU, "test_pass_return_state"),
    (TestGRU, "test_masking"),
    (TestGRU, "test_legacy_implementation_argument"),
    (TestBidirectional, "test_correctness"),
    (TestBidirectional, "test_masking"),
]
CHECK_SHAPES = [
    (TestGRU, "test_basics"),
    (TestGRU, "test_stateful_with_symbolic_batch_size"),
    (TestBidirectional, "test_fused_gru_matches_unfused"),
]


def complaints(case, name):
    result = case(name).run(unittest.TestResult())
    assert result.testsRun == 1
    assert not result.skipped
    return "".join(text for _, text in result.failures + result.errors)


@pytest.mark.parametrize("runtime", EVERYWHERE)
@pytest.mark.parametrize(("case", "name"), CHECK_VALUES + CHECK_SHAPES)
def test_a_runtime_of_ours_that_raises_makes_them_fail(case, name, runtime, monkeypatch):
    def broken(*args, **kwargs):
        raise NotImplementedError("our broken runtime")

    prefer(runtime, monkeypatch)
    monkeypatch.setattr(EVERYWHERE[runtime], "run", broken)
    assert "our broken runtime" in complaints(case, name)


def test_a_step_of_ours_that_raises_makes_stacked_cells_fail(monkeypatch):
    def broken(*args, **kwargs):
        raise NotImplementedError("our broken step")

    monkeypatch.setattr(GRUCell, "step", broken)
    assert "our broken step" in complaints(TestStackedRNNCells, "test_basics")


@pytest.mark.parametrize("runtime", ["portable", "graph"])
@pytest.mark.parametrize(("case", "name"), CHECK_VALUES)
def test_a_wrong_equation_of_ours_makes_them_fail(case, name, runtime, monkeypatch):
    right = EVERYWHERE[runtime].run

    def wrong(cell, *args, **options):
        cell.update_gate = "write"
        return right(cell, *args, **options)

    prefer(runtime, monkeypatch)
    monkeypatch.setattr(EVERYWHERE[runtime], "run", wrong)
    assert "Not equal to tolerance" in complaints(case, name)
