"""The gated recurrent unit in NumPy float64: slow, short, and the judge of everything else here.

Shapes: B sequences in a batch, T steps, I input features, H units. Vectors are rows, so `x @ W` reads as in
the text. Columns of the kernels and of the bias come in the order update, reset, candidate (z, r, h), as in
Keras.

Sources: Cho et al. 2014 (arXiv 1406.1078) for the unit with reset before the product and
`update_gate="keep"`; Chung et al. 2014 (arXiv 1412.3555) for `update_gate="write"`; reset after the product
is the variant of cuDNN, Keras and PyTorch.
"""

import numpy as np


def sigmoid(a):
    """σ(a) = 1 / (1 + e^(-a)), elementwise and without overflow."""
    return np.exp(-np.logaddexp(0.0, -a))


def step(x, h, kernel, recurrent_kernel, bias=None, *, reset_after=True, update_gate="keep"):
    """One step of the unit.

    With b the input bias and d the recurrent bias::

        z = σ(x W_z + b_z + h U_z + d_z)                    update gate
        r = σ(x W_r + b_r + h U_r + d_r)                    reset gate
        c = tanh(x W_h + b_h + r ⊙ (h U_h + d_h))           candidate, reset_after=True
        c = tanh(x W_h + b_h + (r ⊙ h) U_h + d_h)           candidate, reset_after=False
        new h = z ⊙ h + (1 - z) ⊙ c                         update_gate="keep"
        new h = (1 - z) ⊙ h + z ⊙ c                         update_gate="write"

    Args:
        x: input of this step, (B, I).
        h: state before this step, (B, H).
        kernel: W = [W_z, W_r, W_h], (I, 3H).
        recurrent_kernel: U = [U_z, U_r, U_h], (H, 3H).
        bias: None for no bias, (3H,) for b alone, or (2, 3H) for the rows b and d.
        reset_after: whether the reset gate acts after the product with U_h, or before it.
        update_gate: what an open update gate does: "keep" the old state or "write" the candidate.

    Returns:
        The new state, (B, H), and the dict of `reset`, `update` and `candidate`, each (B, H).
    """
    if update_gate not in ("keep", "write"):
        raise ValueError(f"update_gate={update_gate!r} is unknown: pass 'keep' or 'write'.")
    b, d = _two_biases(bias, kernel.shape[1])
    W_z, W_r, W_h = np.split(kernel, 3, axis=1)
    U_z, U_r, U_h = np.split(recurrent_kernel, 3, axis=1)
    b_z, b_r, b_h = np.split(b, 3)
    d_z, d_r, d_h = np.split(d, 3)

    update = sigmoid(x @ W_z + b_z + h @ U_z + d_z)
    reset = sigmoid(x @ W_r + b_r + h @ U_r + d_r)
    recalled = reset * (h @ U_h + d_h) if reset_after else (reset * h) @ U_h + d_h
    candidate = np.tanh(x @ W_h + b_h + recalled)

    keep = update if update_gate == "keep" else 1 - update
    return keep * h + (1 - keep) * candidate, {"reset": reset, "update": update, "candidate": candidate}


def gru(
    sequences,
    kernel,
    recurrent_kernel,
    bias=None,
    *,
    initial_state=None,
    mask=None,
    reset_after=True,
    update_gate="keep",
    go_backwards=False,
    zero_output_for_mask=False,
    return_gates=False,
):
    """The unit over whole sequences: `step`, once for each step.

    A padded step (False in the mask) leaves the state as it was and repeats the last output; before the first
    real step, and everywhere with `zero_output_for_mask`, a padded step puts out zeros. Its gates are zeros:
    none has acted.

    Args:
        sequences: inputs, (B, T, I).
        kernel, recurrent_kernel, bias, reset_after, update_gate: as in `step`.
        initial_state: h_0, (B, H); zeros when None.
        mask: (B, T), True for a real step and False for a padded one; every step is real when None.
        go_backwards: run from the last step to the first; outputs and gates come in the order in which they
            were computed.
        zero_output_for_mask: put out zeros at a padded step instead of the last output.
        return_gates: also return the gates.

    Returns:
        `outputs`, (B, T, H), and the last `state`, (B, H), all float64; with `return_gates` also the dict of
        the sequences `reset`, `update` and `candidate`, each (B, T, H).
    """
    sequences = np.asarray(sequences, np.float64)
    kernel = np.asarray(kernel, np.float64)
    recurrent_kernel = np.asarray(recurrent_kernel, np.float64)
    batch, steps, _ = sequences.shape
    shape = batch, steps, len(recurrent_kernel)
    mask = np.ones((batch, steps), bool) if mask is None else np.asarray(mask, bool)
    state = np.zeros((batch, shape[-1])) if initial_state is None else np.asarray(initial_state, np.float64)
    if go_backwards:
        sequences, mask = sequences[:, ::-1], mask[:, ::-1]

    output = np.zeros_like(state)
    outputs = np.zeros(shape)
    gates = {name: np.zeros(shape) for name in ("reset", "update", "candidate")}
    for t in range(steps):
        real = mask[:, t, np.newaxis]
        new_state, new_gates = step(
            sequences[:, t],
            state,
            kernel,
            recurrent_kernel,
            bias,
            reset_after=reset_after,
            update_gate=update_gate,
        )
        state = np.where(real, new_state, state)
        output = np.where(real, new_state, 0.0 if zero_output_for_mask else output)
        outputs[:, t] = output
        for name, gate in new_gates.items():
            gates[name][:, t] = np.where(real, gate, 0.0)
    return (outputs, state, gates) if return_gates else (outputs, state)


def _two_biases(bias, width):
    """The input and the recurrent bias, (3H,) each: what is missing is zero."""
    zeros = np.zeros(width)
    if bias is None:
        return zeros, zeros
    bias = np.asarray(bias, np.float64)
    if bias.shape == (width,):
        return bias, zeros
    if bias.shape == (2, width):
        return bias
    raise ValueError(f"bias has shape {bias.shape}: pass None, ({width},) or (2, {width}).")
