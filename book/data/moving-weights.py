"""Write moving-weights.safetensors: a model trained in PyTorch, data it has not seen, and what it makes of them.

Run by hand where PyTorch is installed (last run with 2.13.0, on a CPU), from any folder. The file is what the chapter
on moving weights starts from, so that the book needs no PyTorch.

A hidden switch is on or off and now and then changes. Three noisy sensors read it. The model says at each step
whether the switch is on, from all that was read before and after.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

SEQUENCES, STEPS, UNITS = 192, 30, 12
NOISE = (1.0, 1.5, 2.0)  # standard deviation of each sensor
CHANGE = 0.1  # probability that the switch changes at a step
UPDATES = 600
CHECKED = 8  # sequences for which the outputs of the recurrent part are kept too


class Tagger(torch.nn.Module):
    """A stack of GRUs and a linear layer, one number for each step."""

    def __init__(self):
        super().__init__()
        self.gru = torch.nn.GRU(len(NOISE), UNITS, num_layers=2, bidirectional=True, dropout=0.2, batch_first=True)
        self.head = torch.nn.Linear(2 * UNITS, 1)

    def forward(self, readings):
        outputs, _ = self.gru(readings)
        return self.head(outputs)[..., 0]


def draw(chance, sequences):
    """Readings (B, T, 3) and whether the switch was on (B, T)."""
    changes = chance.random((sequences, STEPS)) < np.where(np.arange(STEPS) == 0, 0.5, CHANGE)
    on = changes.cumsum(axis=1) % 2 == 1
    readings = np.where(on, 1, -1)[..., None] + chance.normal(scale=NOISE, size=(sequences, STEPS, len(NOISE)))
    return torch.from_numpy(readings.astype("float32")), torch.from_numpy(on)


def train(model, chance):
    """Fit the model, each update on fresh sequences."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(UPDATES):
        readings, on = draw(chance, 64)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(readings), on.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main():
    torch.manual_seed(0)
    chance = np.random.default_rng(0)
    model = Tagger()
    train(model, chance)
    model.eval()
    readings, on = draw(chance, SEQUENCES)
    with torch.no_grad():
        initial_state = torch.rand(4, CHECKED, UNITS) * 2 - 1
        outputs, state = model.gru(readings[:CHECKED], initial_state)
        seen = {
            "readings": readings,
            "on": on,
            "logits": model(readings),
            "initial_state": initial_state,
            "outputs": outputs,
            "state": state,
        }
    save_file(
        {**model.state_dict(), **{f"seen.{name}": tensor.contiguous() for name, tensor in seen.items()}},
        Path(__file__).with_suffix(".safetensors"),
        metadata={"made_by": f"PyTorch {torch.__version__}"},
    )
    print(f"right at {((seen['logits'] > 0) == on).float().mean():.3f} of the steps")


if __name__ == "__main__":
    main()
