"""Write torch_weights.npz: state_dicts of `torch.nn.GRU`, inputs, and what the module makes of them.

Run by hand where PyTorch is installed (last run with 2.13.0, on a CPU), from any folder. The file holds values only,
so that the tests need no PyTorch. An entry is named `CASE/NAME`; a case is named as in `cases`. Batch first.
"""

import itertools
from pathlib import Path

import numpy as np
import torch

BATCH, STEPS, INPUTS, UNITS = 2, 5, 3, 4


def cases():
    """The name of each case, and the arguments of its module."""
    for layers, both, bias, dtype in itertools.product([1, 2], [False, True], [False, True], ["float32", "float64"]):
        name = f"layers{layers}_{'both' if both else 'forward'}_{'bias' if bias else 'nobias'}_{dtype}"
        yield name, {"num_layers": layers, "bidirectional": both, "bias": bias, "dtype": getattr(torch, dtype)}


def values(options):
    """Everything of one case: the tensors of its state_dict and of its call, by name."""
    gru = torch.nn.GRU(INPUTS, UNITS, batch_first=True, **options)
    with torch.no_grad():
        for parameter in gru.parameters():
            parameter.normal_(std=0.5)  # larger than by default, so that the gates matter
        directions = options["num_layers"] * (1 + options["bidirectional"])
        sequences = torch.randn(BATCH, STEPS, INPUTS, dtype=options["dtype"])
        initial_state = torch.randn(directions, BATCH, UNITS, dtype=options["dtype"])
        outputs, state = gru(sequences, initial_state)
    call = {"sequences": sequences, "initial_state": initial_state, "outputs": outputs, "state": state}
    return {**gru.state_dict(), **call}


def main():
    torch.manual_seed(0)
    arrays = {f"{case}/{name}": tensor.numpy() for case, options in cases() for name, tensor in values(options).items()}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
