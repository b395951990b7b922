"""Files of the form in which the authors published their network."""

import sys

import numpy as np
import torch
from torch import nn

NORM_FIRST = {"relu-norm": (False, False), "norm-relu": (True, True), "mixed": (True, False)}
FORMATS = {"zip": True, "legacy": False}


class NeuralNet(nn.Module):
    """What the authors pickled: a class of this name in ``__main__``, with one Sequential."""

    def __init__(self, order="mixed", widths=(977, 1024, 1298), activation=nn.ReLU, eps=1e-5, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        n_in, hidden, n_out = widths
        layers = []
        for width, norm_first in zip((n_in, hidden), NORM_FIRST[order], strict=True):
            between = [activation(), nn.BatchNorm1d(hidden, eps=eps)]
            layers += [nn.Linear(width, hidden), *between[:: -1 if norm_first else 1], nn.Dropout(0.3)]
        self.model = nn.Sequential(*layers, nn.Linear(hidden, n_out))
        for layer in self.model:
            if isinstance(layer, nn.BatchNorm1d):  # far from their defaults, so that the order matters
                for values, low, high in (
                    (layer.running_mean, -0.5, 0.5),
                    (layer.running_var, 0.5, 2),
                    (layer.weight.data, 0.5, 2),
                    (layer.bias.data, -0.5, 0.5),
                ):
                    values.uniform_(low, high)

    def forward(self, x):
        return self.model(x)


def save(what, path, form="zip"):
    torch.save(what, path, _use_new_zipfile_serialization=FORMATS[form])
    return path


def small(**changes):
    return NeuralNet(widths=(3, 4, 2), **changes)


def outputs(network, x):
    with torch.no_grad():
        return network.eval()(torch.from_numpy(np.asarray(x, np.float32))).numpy()


def put_in_main(monkeypatch):
    """Let ``NeuralNet`` be pickled as a class of ``__main__``."""
    monkeypatch.setattr(NeuralNet, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "NeuralNet", NeuralNet, raising=False)
