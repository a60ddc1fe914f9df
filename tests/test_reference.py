"""The NumPy reference against a step worked out by hand, ONNX's evaluator, and the laws that a GRU obeys."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx.reference import ReferenceEvaluator
from parity import MASKS, problem

from gru_tf import reference

EXACT = 1e-14


@pytest.mark.parametrize(
    ("reset_after", "update_gate", "expected"),
    [
        (True, "keep", 3 / 4 * 2 + 1 / 4 * 3 / 5),
        (True, "write", 1 / 4 * 2 + 3 / 4 * 3 / 5),
        (False, "keep", 3 / 4 * 2 + 1 / 4 * 31 / 33),
        (False, "write", 1 / 4 * 2 + 3 / 4 * 31 / 33),
    ],
)
def test_a_step_worked_out_by_hand(reset_after, update_gate, expected):
    # σ(ln 3) = 3/4, σ(-ln 3) = 1/4 and tanh(n ln 2) = (4^n - 1) / (4^n + 1).
    # Reset after: 1/4 (2 ln 2 + 2 ln 2) = ln 2. Reset before: 1/4 · 2 ln 2 + 2 ln 2 = 5/2 ln 2.
    kernel = np.array([[np.log(3), -np.log(3), 0.0]])
    recurrent_kernel = np.array([[0.0, 0.0, np.log(2)]])
    bias = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2 * np.log(2)]])
    state, gates = reference.step(
        np.array([[1.0]]),
        np.array([[2.0]]),
        kernel,
        recurrent_kernel,
        bias,
        reset_after=reset_after,
        update_gate=update_gate,
    )
    np.testing.assert_allclose(state, [[expected]], rtol=EXACT)
    np.testing.assert_allclose(gates["update"], [[3 / 4]], rtol=EXACT)
    np.testing.assert_allclose(gates["reset"], [[1 / 4]], rtol=EXACT)
    np.testing.assert_allclose(gates["candidate"], [[3 / 5 if reset_after else 31 / 33]], rtol=EXACT)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("biases", [0, 1, 2])
@pytest.mark.parametrize("reset_after", [True, False])
def test_equals_the_evaluator_of_onnx(reset_after, biases, direction):
    if direction == "reverse":
        pytest.importorskip("onnx", minversion="1.23", reason="older evaluators run it forwards")
    p = problem(seed=biases)
    kernel, recurrent_kernel, two_biases = p.weights
    bias = [None, two_biases[0], two_biases][biases]
    both = np.zeros((2, 9))
    if bias is not None:
        both[:biases] = bias
    outputs, state = reference.gru(
        p.sequences,
        kernel,
        recurrent_kernel,
        bias,
        initial_state=p.initial_state,
        reset_after=reset_after,
        go_backwards=direction == "reverse",
    )
    node = onnx.helper.make_node(
        "GRU",
        ["X", "W", "R", "B", "", "initial_h"],
        ["Y", "Y_h"],
        hidden_size=p.units,
        direction=direction,
        linear_before_reset=int(reset_after),
    )
    Y, Y_h = ReferenceEvaluator(node).run(
        None,
        {
            "X": p.sequences.swapaxes(0, 1),
            "W": kernel.T[None],
            "R": recurrent_kernel.T[None],
            "B": both.reshape(1, -1),
            "initial_h": p.initial_state[None],
        },
    )
    theirs = Y[:, 0].swapaxes(0, 1)
    np.testing.assert_allclose(outputs, theirs if direction == "forward" else theirs[:, ::-1], atol=EXACT)
    np.testing.assert_allclose(state, Y_h[0], atol=EXACT)


def test_sigmoid_neither_overflows_nor_rounds_away_small_values():
    with np.errstate(all="raise", under="ignore"):
        values = reference.sigmoid(np.array([-1e4, -700.0, 0.0, 700.0, 1e4]))
    np.testing.assert_allclose(values, [0.0, np.exp(-700.0), 0.5, 1.0, 1.0], rtol=1e-12)


@pytest.mark.parametrize("reset_after", [True, False])
def test_one_polarity_of_the_update_gate_is_the_other_with_its_weights_negated(reset_after):
    p = problem(reset_after=reset_after)
    negate = np.repeat([-1.0, 1.0, 1.0], p.units)
    keep, _ = reference.gru(p.sequences, *p.weights, reset_after=reset_after, update_gate="keep")
    write, _ = reference.gru(
        p.sequences, *(negate * w for w in p.weights), reset_after=reset_after, update_gate="write"
    )
    np.testing.assert_allclose(write, keep, atol=EXACT)


@given(cut=st.integers(0, 6), mask=hnp.arrays(bool, (2, 6)), seed=st.integers(0, 99))
def test_a_sequence_in_two_parts_gives_the_same_state(cut, mask, seed):
    p = problem(batch=2, steps=6, seed=seed)
    _, whole = reference.gru(p.sequences, *p.weights, mask=mask)
    _, first = reference.gru(p.sequences[:, :cut], *p.weights, mask=mask[:, :cut])
    _, parts = reference.gru(p.sequences[:, cut:], *p.weights, mask=mask[:, cut:], initial_state=first)
    np.testing.assert_array_equal(parts, whole)


@given(mask=hnp.arrays(bool, (1, 6)), backwards=st.booleans(), zero_output=st.booleans(), seed=st.integers(0, 99))
def test_padding_is_as_if_it_were_not_there(mask, backwards, zero_output, seed):
    p = problem(batch=1, steps=6, seed=seed)
    options = {"initial_state": p.initial_state, "go_backwards": backwards, "return_gates": True}
    padded, state, gates = reference.gru(
        p.sequences, *p.weights, mask=mask, zero_output_for_mask=zero_output, **options
    )
    short, short_state, short_gates = reference.gru(p.sequences[:, mask[0]], *p.weights, **options)
    real = mask[0, ::-1] if backwards else mask[0]
    np.testing.assert_array_equal(state, short_state)
    np.testing.assert_array_equal(padded[:, real], short)
    for name, gate in gates.items():
        np.testing.assert_array_equal(gate[:, real], short_gates[name])
        assert not gate[:, ~real].any()
    if zero_output:
        assert not padded[:, ~real].any()
        return
    last = np.zeros((1, p.units))
    for t in range(6):
        if not real[t]:
            np.testing.assert_array_equal(padded[:, t], last)
        last = padded[:, t]


@pytest.mark.parametrize("mask", MASKS)
def test_backwards_is_forwards_over_the_reversed_sequence(mask):
    p = problem(mask=mask)
    backwards, _ = reference.gru(p.sequences, *p.weights, mask=p.mask, go_backwards=True)
    turned = None if p.mask is None else p.mask[:, ::-1]
    forwards, _ = reference.gru(p.sequences[:, ::-1], *p.weights, mask=turned)
    np.testing.assert_array_equal(backwards, forwards)


def test_no_steps_leave_the_initial_state():
    p = problem(steps=0)
    outputs, state = reference.gru(p.sequences, *p.weights, initial_state=p.initial_state)
    assert outputs.shape == (4, 0, 3)
    np.testing.assert_array_equal(state, p.initial_state)


def test_errors_name_the_argument_and_the_value():
    p = problem()
    with pytest.raises(ValueError, match="update_gate='forget'"):
        reference.gru(p.sequences, *p.weights, update_gate="forget")
    with pytest.raises(ValueError, match=r"bias has shape \(3, 9\)"):
        reference.gru(p.sequences, *p.weights[:2], np.zeros((3, 9)))
