"""Write language-model.safetensors: two small language models of PyTorch, words, and what they make of them.

Run by hand where PyTorch is installed (last run with 2.13.0, on a CPU), from any folder. The chapter on language
models compares its Keras models with this file, so that the book needs no PyTorch.

The structure is that of article 003: an embedding, two layers of GRU and a linear layer back to the vocabulary. In
the model "untied" each has its own weights; in "tied" the linear layer uses the embedding's matrix.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

VOCABULARY, LAYERS = 50, 2
BATCH, STEPS = 3, 7


class LanguageModel(torch.nn.Module):
    """Word numbers (B, T) and states (L, B, H) in, logits (B, T, V) and the new states out."""

    def __init__(self, inputs, units, tied):
        super().__init__()
        self.embedding = torch.nn.Embedding(VOCABULARY, inputs)
        self.gru = torch.nn.GRU(inputs, units, num_layers=LAYERS, batch_first=True)
        self.linear = torch.nn.Linear(units, VOCABULARY)
        if tied:
            self.linear.weight = self.embedding.weight

    def forward(self, ids, state):
        outputs, state = self.gru(self.embedding(ids), state)
        return self.linear(outputs), state


def values(inputs, units, tied):
    """All tensors of one model and of its call, by name."""
    model = LanguageModel(inputs, units, tied)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)  # larger than by default, so that the gates matter
        ids = torch.randint(VOCABULARY, (BATCH, STEPS))
        initial_state = torch.rand(LAYERS, BATCH, units) * 2 - 1
        logits, state = model(ids, initial_state)
    tensors = {name: tensor for name, tensor in model.state_dict().items() if not (tied and name == "linear.weight")}
    return tensors | {"ids": ids, "initial_state": initial_state, "logits": logits, "state": state}


def main():
    torch.manual_seed(0)
    models = {"untied": values(8, 12, tied=False), "tied": values(12, 12, tied=True)}
    save_file(
        {f"{model}.{name}": t.contiguous() for model, tensors in models.items() for name, t in tensors.items()},
        Path(__file__).with_suffix(".safetensors"),
        metadata={"made_by": f"PyTorch {torch.__version__}"},
    )


if __name__ == "__main__":
    main()
