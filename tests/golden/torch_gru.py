"""Print the outputs of `torch.nn.GRU` for weights that any program can rebuild from a formula.

Run by hand where PyTorch is installed (last run with 2.13.0, on a CPU). The printed numbers stand as a literal in the
chapter on the equations, so that neither the book nor its tests depend on PyTorch.
"""

import numpy as np
import torch

BATCH, STEPS, INPUTS, UNITS = 2, 3, 2, 3


def waves(phase, *shape):
    """sin(phase), sin(phase + 1), … in row-major order: float64, no two alike, the same on every machine."""
    return np.sin(phase + np.arange(np.prod(shape))).reshape(shape)


def main():
    gru = torch.nn.GRU(INPUTS, UNITS, batch_first=True, dtype=torch.float64)
    weights = {
        "weight_ih_l0": waves(1, 3 * UNITS, INPUTS),  # rows in the order reset, update, new
        "weight_hh_l0": waves(2, 3 * UNITS, UNITS),
        "bias_ih_l0": waves(3, 3 * UNITS),
        "bias_hh_l0": waves(4, 3 * UNITS),
    }
    gru.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    sequences = torch.from_numpy(waves(5, BATCH, STEPS, INPUTS))
    initial_state = torch.from_numpy(waves(6, BATCH, UNITS))
    with torch.no_grad():
        outputs, _ = gru(sequences, initial_state[np.newaxis])
    print(outputs.tolist())


if __name__ == "__main__":
    main()
