"""Deliberate errors: each must make the checks of the other files fail, or those checks prove nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import test_reference
from parity import SAME, assert_same, load, measure, problem, referee, results_of

from gru_tf import GRU, GRUCell, reference

CAUGHT = pytest.raises(AssertionError, match="exceeds")


def columns(order):
    """Put the gates' column blocks of every weight in another order."""
    return lambda weights: [np.concatenate([np.split(w, 3, axis=-1)[i] for i in order], axis=-1) for w in weights]


def negated_update(weights):
    """Turn z into 1 - z."""
    return [w * np.repeat([-1.0, 1.0, 1.0], w.shape[-1] // 3) for w in weights]


def swapped_biases(weights):
    kernel, recurrent_kernel, bias = weights
    return [kernel, recurrent_kernel, bias[::-1]]


def recurrent_bias_outside_the_reset_gate(weights):
    kernel, recurrent_kernel, (b, d) = weights
    candidate = np.repeat([False, False, True], len(d) // 3)
    return [kernel, recurrent_kernel, np.stack([np.where(candidate, b + d, b), np.where(candidate, 0, d)])]


def transposed_recurrent_blocks(weights):
    kernel, recurrent_kernel, bias = weights
    return [kernel, np.concatenate([u.T for u in np.split(recurrent_kernel, 3, axis=1)], axis=1), bias]


WEIGHT_MUTANTS = {
    "z and r swapped": columns([1, 0, 2]),
    "z and candidate swapped": columns([2, 1, 0]),
    "r and candidate swapped": columns([0, 2, 1]),
    "1 - z for z": negated_update,
    "biases swapped": swapped_biases,
    "recurrent bias outside the reset gate": recurrent_bias_outside_the_reset_gate,
    "recurrent blocks transposed": transposed_recurrent_blocks,
}

EVERYTHING = {"return_sequences": True, "return_state": True}


def ours_and_keras(p, **options):
    return (load(layer_class(p.units, **EVERYTHING, **options), p) for layer_class in (GRU, keras.layers.GRU))


def check_against_keras(ours, theirs, p, **call_options):
    assert_same(measure(ours, p, **call_options), measure(theirs, p), SAME["float32"])


def check_against_reference(ours, p, **options):
    assert_same(results_of(measure(ours, p)), referee(p, **EVERYTHING, **options), SAME["float64"])


@pytest.mark.parametrize("mutant", WEIGHT_MUTANTS)
def test_wrong_weights_are_caught(mutant):
    p = problem()
    ours, theirs = ours_and_keras(p)
    exact = load(GRU(p.units, dtype="float64", **EVERYTHING), p)
    check_against_keras(ours, theirs, p)
    check_against_reference(exact, p)
    for layer in (ours, exact):
        layer.set_weights(WEIGHT_MUTANTS[mutant](p.weights))
    with CAUGHT:
        check_against_keras(ours, theirs, p)
    with CAUGHT:
        check_against_reference(exact, p)


OPTION_MUTANTS = {
    "update_gate": ({}, {"update_gate": "write"}),
    "reset before for after": ({"use_bias": False}, {"reset_after": False}),
    "reset after for before": ({"use_bias": False, "reset_after": False}, {"reset_after": True}),
    "activation": ({}, {"activation": "softsign"}),
    "recurrent_activation": ({}, {"recurrent_activation": "hard_sigmoid"}),
    "go_backwards": ({"go_backwards": True}, {"go_backwards": False}),
    "zero_output_for_mask": ({"zero_output_for_mask": True}, {"zero_output_for_mask": False}),
}


@pytest.mark.parametrize("mutant", OPTION_MUTANTS)
def test_an_option_with_the_wrong_effect_is_caught(mutant):
    options, wrong = OPTION_MUTANTS[mutant]
    p = problem(mask="middle", reset_after=options.get("reset_after", True), use_bias=options.get("use_bias", True))
    right, theirs = ours_and_keras(p, **options)
    check_against_keras(right, theirs, p)
    mutated = load(GRU(p.units, **{**EVERYTHING, **options, **wrong}), p)
    with CAUGHT:
        check_against_keras(mutated, theirs, p)


@pytest.mark.parametrize("mask", ["left", "right", "middle", "empty row", "all padded"])
def test_a_mask_that_is_ignored_is_caught(mask):
    p = problem(mask=mask)
    ours, theirs = ours_and_keras(p)
    check_against_keras(ours, theirs, p)
    with CAUGHT:
        assert_same(measure(ours, problem()), measure(theirs, p), SAME["float32"])


def test_an_initial_state_that_is_ignored_is_caught(monkeypatch):
    p = problem()
    ours, theirs = ours_and_keras(p)
    right = GRU._starting_state
    monkeypatch.setattr(GRU, "_starting_state", lambda *args: 0 * right(*args))
    with CAUGHT:
        check_against_keras(ours, theirs, p)


def test_a_gradient_that_is_cut_in_time_is_caught(monkeypatch):
    p = problem()
    _, theirs = ours_and_keras(p)
    ours = load(GRU(p.units, runtime="portable", **EVERYTHING), p)
    right = GRUCell.step
    monkeypatch.setattr(
        GRUCell, "step", lambda self, x, state, training: right(self, x, tf.stop_gradient(state), training)
    )
    assert_same(results_of(measure(ours, p)), results_of(measure(theirs, p)), SAME["float32"])
    with pytest.raises(AssertionError):
        check_against_keras(ours, theirs, p)


@pytest.mark.parametrize("mutant", WEIGHT_MUTANTS)
def test_a_wrong_reference_is_caught_by_the_evaluator_of_onnx(mutant, monkeypatch):
    right = reference.gru

    def wrong(sequences, *weights, **options):
        return right(sequences, *WEIGHT_MUTANTS[mutant](weights), **options)

    test_reference.test_equals_the_evaluator_of_onnx(True, 2, "forward")
    monkeypatch.setattr(reference, "gru", wrong)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        test_reference.test_equals_the_evaluator_of_onnx(True, 2, "forward")


@pytest.mark.parametrize(("option", "values"), [("reset_after", (True, False)), ("update_gate", ("keep", "write"))])
def test_a_reference_that_mixes_up_its_options_is_caught_by_hand(option, values, monkeypatch):
    right = reference.step
    other = dict(zip(values, values[::-1], strict=True))

    def wrong(*args, **options):
        return right(*args, **{**options, option: other[options[option]]})

    check = test_reference.test_a_step_worked_out_by_hand
    check(True, "keep", 3 / 4 * 2 + 1 / 4 * 3 / 5)
    monkeypatch.setattr(reference, "step", wrong)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(True, "keep", 3 / 4 * 2 + 1 / 4 * 3 / 5)
